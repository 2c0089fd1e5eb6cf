"""Values that look like secrets. Written to be right when it speaks: a refusal stops somebody's work."""

import math
import re
from collections import Counter
from collections.abc import Iterator

from registry.genome.schema import Json

# every repetition before something else is bounded: the text is a stranger's and may be five mebibytes of "eyJ-eyJ-"
_KNOWN: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (what, re.compile(pattern))
    for what, pattern in (
        ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("an Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
        ("an OpenAI key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{0,40}[A-Za-z0-9]{20,}"),
        ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{36,})"),
        ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("a Google key", r"\bAIza[0-9A-Za-z_-]{35}"),
        ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
        ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("a Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        ("a Stripe key", r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}"),
        ("an ARM token", r"\barm[iarpsw]_[0-9A-Za-z]{42}\b"),
        ("a private key", r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY"),
        ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{16,}"),
        ("a password in an address", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,64}:[^\s/@]{3,128}@"),
    )
)
_SECRET_NAME = re.compile(
    r"(?:^|[_.-])(?:api_?key|access_?key|secret|secret_?key|token|passw(?:or)?d|credentials?|private_?key|bearer)$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REFERENCE = re.compile(r"[a-z][a-z0-9+.-]*:|\$\{|\{\{|<")
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_.~-]{16,}")
_LEAST_ENTROPY = 3.5  # bits a character; English words stay near 3, a random base 64 key of 20 reaches 4


def secrets_in(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where something looks like a secret, and like which kind. Never yields the value itself."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from secrets_in(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from secrets_in(inner, (*path, index))
    elif isinstance(value, str) and (what := _looks_like(value, path)):
        yield path, what


def _looks_like(text: str, path: tuple[str | int, ...]) -> str | None:
    for what, pattern in _KNOWN:
        if pattern.search(text):
            return what
    named = next((step for step in reversed(path) if isinstance(step, str)), "")
    if _SECRET_NAME.search(_CAMEL.sub("_", named)) and _OPAQUE.fullmatch(text) and not _REFERENCE.match(text):
        return "a secret" if _entropy(text) >= _LEAST_ENTROPY else None
    return None


def _entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
