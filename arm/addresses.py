"""The addresses of pages, resolved once: a list links a hundred, and `reverse` looks each up anew."""

from functools import cache

from django.conf import settings
from django.urls import NoReverseMatch, get_script_prefix, get_urlconf, reverse


def page_of(name: str, typeid: str) -> str:
    """`reverse(name, args=[typeid])` of a page whose one argument is the TypeID of a row. NoReverseMatch where there is no
    such page, or the text is no TypeID."""
    prefix, _, key = typeid.rpartition("_")
    if len(key) != 26 or not (key.isascii() and key.isalnum()):
        raise NoReverseMatch(f"“{typeid}” is no TypeID: {name}")
    before, after = _around(name, prefix, get_script_prefix(), _urlconf())
    return f"{before}{typeid}{after}"


def page(name: str) -> str:
    """`reverse(name)`, for a page without arguments."""
    return _whole(name, get_script_prefix(), _urlconf())


def _urlconf() -> str:
    found: str = get_urlconf() or settings.ROOT_URLCONF
    return found


@cache
def _around(name: str, prefix: str, script_prefix: str, urlconf: str) -> tuple[str, str]:
    """What stands before and after the identifier, whichever it is."""
    some = f"{prefix}_{'0' * 26}"
    before, _, after = reverse(name, args=[some]).rpartition(some)
    return before, after


@cache
def _whole(name: str, script_prefix: str, urlconf: str) -> str:
    return reverse(name)
