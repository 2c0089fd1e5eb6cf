"""Pieces of templates, rendered without a database, and read as a person would."""

import re
from html import unescape
from typing import Any

from django.template import Context, Template
from django.test import RequestFactory


def render(source: str, path: str = "/", **context: Any) -> str:
    request = RequestFactory().get(path)
    return Template(source).render(Context({"request": request, **context}))


def words(html: str) -> str:
    """What a reader reads."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
