"""Structured logs: one JSON object a line, each with the id of the request that caused it."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("arm_request_id", default="")
"""The id of the request, task or command now running; empty outside any."""

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
