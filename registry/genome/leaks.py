"""Values that look like secrets. Right when it speaks: a refusal stops somebody's work.

The detectors of detect-secrets for tokens of a known shape, and our own patterns beside them: for shapes that it does
not know, and in place of its patterns that a stranger's text can make quadratic (OpenAI, npm, JWT). Its detectors of
entropy and of words like “password” are not asked: digests and prose are full of what they report. Only
`analyze_string` is called, which reads no settings and no network, so threads share nothing.
"""

import math
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import BasePlugin
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.private_key import PrivateKeyDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector

from registry.genome.kinds import Json
from registry.genome.schema import STORES

_DETECTORS: tuple[tuple[str, BasePlugin], ...] = (
    ("an AWS key", AWSKeyDetector()),
    ("an Azure storage key", AzureStorageKeyDetector()),
    ("a Discord token", DiscordBotTokenDetector()),
    ("a GitHub token", GitHubTokenDetector()),
    ("a GitLab token", GitLabTokenDetector()),
    ("a Mailchimp key", MailchimpDetector()),
    ("a private key", PrivateKeyDetector()),
    ("a PyPI token", PypiTokenDetector()),
    ("a SendGrid key", SendGridDetector()),
    ("a Slack token", SlackDetector()),
    ("a Square secret", SquareOAuthDetector()),
    ("a Stripe key", StripeDetector()),
    ("a Telegram token", TelegramBotTokenDetector()),
    ("a Twilio key", TwilioKeyDetector()),
)


class _Shape(NamedTuple):
    """What a token is called, the letters that each begins with (or none), and how it looks."""

    what: str
    begins: str
    pattern: re.Pattern[str]

    def stands_in(self, text: str) -> bool:
        return self.begins in text and self.pattern.search(text) is not None


def _shape(what: str, pattern: str) -> _Shape:
    begins = re.match(r"\\b([A-Za-z0-9_-]{3,})(?![?*{])", pattern)
    # a token may follow an underscore as well
    return _Shape(what, begins[1] if begins else "", re.compile(re.sub(r"^\\b", "(?<![A-Za-z0-9])", pattern)))


# every repetition before something else is bounded: the text is a stranger's and may be five mebibytes of "eyJ-eyJ-"
_KNOWN: tuple[_Shape, ...] = tuple(
    _shape(what, pattern)
    for what, pattern in (
        ("an AWS access key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b"),
        ("an Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
        ("an OpenAI key", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{0,40}[A-Za-z0-9]{20,}"),
        ("a GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{36,})"),
        ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("a GitLab token", r"\bgl(?:dt|cbt|ptt|ft|imt|soat|agent)-[A-Za-z0-9_-]{20,}"),
        ("a Google key", r"\bAIza[0-9A-Za-z_-]{35}"),
        ("a Google client secret", r"\bGOCSPX-[A-Za-z0-9_-]{24,}"),
        ("a Google access token", r"\bya29\.[A-Za-z0-9_-]{20,}"),
        ("a Groq key", r"\bgsk_[A-Za-z0-9]{40,}"),
        ("a HashiCorp Vault token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}"),
        ("a Docker token", r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
        ("a Databricks token", r"\bdapi[0-9a-f]{32}\b"),
        ("a DigitalOcean token", r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
        ("an Atlassian token", r"\bATATT3[A-Za-z0-9_=-]{40,}"),
        ("a Shopify token", r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b"),
        ("an Azure client secret", r"\b[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}"),
        ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
        ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("a Slack token", r"\b(?:xox[abeoprs]|xapp)-[A-Za-z0-9-]{10,}"),
        ("a Stripe key", r"\b(?:[rs]k_(?:live|test)|whsec)_[0-9A-Za-z]{16,}"),
        ("an ARM token", r"\barm[iarpsw]_[0-9A-Za-z]{42}\b"),
        (
            "a private key",
            r"-----BEGIN [A-Z0-9 ]{0,32}PRIVATE KEY|\bPuTTY-User-Key-File-[0-9]|\bAGE-SECRET-KEY-1[0-9A-Z]{50}",
        ),
        ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{16,}"),
        ("a LangSmith key", r"\blsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"),
        ("a Langfuse key", r"\bsk-lf-[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"),
        ("a Tavily key", r"\btvly-[A-Za-z0-9-]{20,}"),
        ("an xAI key", r"\bxai-[A-Za-z0-9]{40,}"),
        ("a Perplexity key", r"\bpplx-[A-Za-z0-9]{40,}"),
        ("a Replicate token", r"\br8_[A-Za-z0-9]{37,}"),
        ("a Pinecone key", r"\bpcsk_[A-Za-z0-9_]{40,}"),
        ("a Linear key", r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,}"),
        ("a Notion token", r"\bntn_[A-Za-z0-9]{40,}"),
        ("a New Relic key", r"\bNRAK-[A-Z0-9]{27}\b"),
        ("a Postman key", r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}"),
        ("a Figma token", r"\bfigd_[A-Za-z0-9_-]{40,}"),
        ("a Grafana token", r"\bgl(?:sa|c)_[A-Za-z0-9_=+/]{32,}"),
        ("a Supabase key", r"\bsb(?:p|_secret)_[A-Za-z0-9_]{20,}"),
        ("a Doppler token", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9_.-]{20,}"),
        ("a Terraform token", r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}"),
        ("an Airtable token", r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}\b"),
        ("a signature of Azure", r"[?&]sig=[A-Za-z0-9%+/=]{40,}"),
        ("a password in an address", r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@]{0,64}:[^\s/@]{3,128}@"),
    )
)
_SECRET_NAME = re.compile(
    r"(?:^|[_.-])(?:(?:access|account|api|private|secret)[_-]?keys?|secrets?|tokens?|passw(?:or)?ds?|pgpassword|pwd|credentials?|bearer"
    r"|authorization|passphrases?"
    r"|(?:admin|database|db|ftp|login|mail|mysql|pg|postgres|redis|root|sftp|smtp|ssh|user)_?pass)$",
    re.IGNORECASE,
)
_VALUE = r"[\"']?([A-Za-z0-9+/=_.~-]{16,400})"
_ASSIGNED = (
    re.compile(
        r"(?<![A-Za-z0-9_.-])([A-Za-z][A-Za-z0-9_.-]{1,60})[\"']?[ \t]{0,3}(?:=|:[ \t])[ \t]{0,3}" + _VALUE
    ),
    re.compile(r"(?<![A-Za-z0-9_-])--([A-Za-z][A-Za-z0-9-]{1,60})[ \t]{1,3}" + _VALUE),
    re.compile(r"(?<![A-Za-z0-9_.-])([Bb]earer)[ \t]{1,3}" + _VALUE),
    re.compile(r"https?(://)(?=[^@]{0,200}[A-Z])(?=[^@]{0,200}[a-z])([A-Za-z0-9_]{20,200})@"),
)
"""A name and what it is given, within a text: `name = value`, `"name": value`, `?name=value`, `--name value`, a header, and
who somebody is in an address."""
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]{1,60})=(\S{8,400})")
"""`NAME=value` and nothing beside it: as lists of variables are written, each as good as a member of its own."""
_BASIC = re.compile(r"(?<![A-Za-z0-9])[Bb]asic[ \t]{1,3}([A-Za-z0-9+/]{8,400}={0,2})")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REFERENCE = re.compile(rf"(?:env|{'|'.join(STORES)}|https?|urn):|\$\{{|\{{\{{|<")
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_.~-]{16,}")
_HEADER = re.compile(r"(?:bearer|basic|token|apikey)\s+(\S+)", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z_.-]+|[A-Z][A-Z0-9_]*|[^/]*/.*|\$[A-Z_]+.*")
"""Plain words, names of variables, and paths: what a short value under a secret's name says that is none."""
_OF_A_MODEL = re.compile(
    r"(?:^|_)(?:bos|cls|end|eos|image|mask|pad|sep|special|start|stop|unk)_tokens?$", re.IGNORECASE
)
_SHORTEST = 8
_LEAST_OF_SHORT = 2.5
_LEAST_ENTROPY = 3.5  # bits a character; English words stay near 3, a random base 64 key of 20 reaches 4


def secrets_in(value: Json) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Where something looks like a secret, and like which kind. Never yields the value itself."""
    held = list(_texts(value, ()))
    # all of them at once: which detectors and patterns have anything to say, before any is asked 100,000 times
    whole = "\n".join(dict.fromkeys(text for _, _, text in held))
    detectors = [(what, detector) for what, detector in _DETECTORS if _speaks(detector, whole)]
    known = [shape for shape in _KNOWN if shape.stands_in(whole)]
    inside = _assigns(whole)
    yield from _private_keys(value, ())
    for path, named, text in held:
        if what := _looks_like(text, named, known, detectors, inside):
            yield path, what


def secret_in(text: str) -> str | None:
    """What kind of secret stands somewhere in a text of its own, if one does."""
    return _looks_like(text, "", _KNOWN, _DETECTORS, True)


def _private_keys(value: Json, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """JSON web keys (RFC 7517) with the member that only their owner has."""
    if isinstance(value, dict):
        for name in ("d", "k"):
            if value.get("kty") in ("EC", "OKP", "RSA", "oct") and isinstance(value.get(name), str):
                yield (*path, name), "a private key"
        for member, inner in value.items():
            yield from _private_keys(inner, (*path, member))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _private_keys(inner, (*path, index))


def _texts(
    value: Json, path: tuple[str | int, ...], named: str = ""
) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Each string with its path and the name that it is the value of; names too, where they stand: the value of none."""
    if isinstance(value, dict):
        of = value.get("name")  # {"name": "API_KEY", "value": …}, as environments are written
        for name, inner in value.items():
            yield path, "", name  # where it stands, without telling it
            yield from _texts(inner, (*path, name), of if name == "value" and isinstance(of, str) else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index), named)
    elif isinstance(value, str):
        yield path, named, value


def _speaks(detector: BasePlugin, text: str) -> bool:
    return next(iter(detector.analyze_string(text)), None) is not None


def _looks_like(
    text: str,
    named: str,
    known: Sequence[_Shape],
    detectors: Sequence[tuple[str, BasePlugin]],
    inside: bool,
) -> str | None:
    for shape in known:
        if shape.stands_in(text):
            return shape.what
    for what, detector in detectors:
        if _speaks(detector, text):
            return what
    if said := _VARIABLE.fullmatch(text):
        named, text = said[1], said[2]
    place = named.lower() == "pwd" and text.startswith(("/", "~", "."))  # where somebody works
    if (_of_secrets(named) and _is_one(text) and not place) or (inside and _assigns(text)):
        return "a secret"
    return None


def _of_secrets(named: str) -> bool:
    name = _CAMEL.sub("_", named)
    return bool(named and _SECRET_NAME.search(name) and not _OF_A_MODEL.search(name))


def _assigns(text: str) -> bool:
    """Whether somewhere within it a secret's name is given what only a machine would have made up: prose and examples of
    code speak of passwords, too."""
    return any(map(_somebody, _BASIC.findall(text))) or any(
        (name == "://" or _of_secrets(name))
        and _entropy(value) >= _LEAST_ENTROPY
        and any(mark.isdigit() for mark in value)
        and any(mark.isalpha() for mark in value)
        for pattern in _ASSIGNED
        for name, value in pattern.findall(text)
    )


def _somebody(encoded: str) -> bool:
    """Whether it is a name and a password of HTTP's (RFC 7617), and no word that follows “basic”."""
    try:
        name, colon, word = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return False
    return bool(colon) and len(word) >= 4 and (name + word).isprintable()


def _is_one(text: str) -> bool:
    """Whether what stands under a secret's name is one, and no reference to it and no words about it."""
    if header := _HEADER.fullmatch(text):
        text = header[1]
    if len(text) < _SHORTEST or _REFERENCE.match(text) or any(mark.isspace() for mark in text):
        return False
    if _OPAQUE.fullmatch(text) and _entropy(text) >= _LEAST_ENTROPY:
        return True
    return not _WORDS.fullmatch(text) and _entropy(text) >= _LEAST_OF_SHORT


def _entropy(text: str) -> float:
    """Shannon entropy of the characters, in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
