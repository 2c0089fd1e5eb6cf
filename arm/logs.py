"""Structured logs: one JSON object a line, each with the id of the request that caused it."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest

request_id: ContextVar[str] = ContextVar("arm_request_id", default="")
"""The id of the request, task or command now running; empty outside any."""


def address_of(request: HttpRequest | None) -> str | None:
    """Whose request this is: the peer, or behind a proxy that is ours (ARM_BEHIND_PROXY) whom that one names, which is
    the last it has added. None where that is no address."""
    if request is None:
        return None
    said = request.META.get("REMOTE_ADDR", "")
    if settings.SECURE_PROXY_SSL_HEADER is not None:
        said = request.META.get("HTTP_X_FORWARDED_FOR", said).rpartition(",")[2].strip()
    try:
        return str(ip_address(said))
    except ValueError:
        return None


_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request"}


class JsonFormatter(logging.Formatter):
    """`{"at", "level", "logger", "message", "request_id", …extra}`; an exception under `trace`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if asked := request_id.get():
            line["request_id"] = asked
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """The same facts for eyes: time, level, logger, message, request id."""

    def format(self, record: logging.LogRecord) -> str:
        asked = request_id.get()
        line = f"{self.formatTime(record, '%H:%M:%S')} {record.levelname:<7} {record.name}: {record.getMessage()}"
        if asked:
            line += f" [{asked}]"
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


class Mistakes(logging.Filter):
    """Drops what Django logs when /ready/ says no: that is an answer, and while the product starts an expected one."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = getattr(getattr(record, "request", None), "path", "")
        return bool(path.rstrip("/") != "/ready")
