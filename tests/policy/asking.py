"""Asks the decide lane as a process would, in this process; what it must see is committed."""

import io
import json
import time
from typing import Any

import pytest
from django.conf import settings

from arm.lanes import compose


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: Any) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def decision(self) -> str:
        assert self.status == 200, self.body
        return self.body["decision"]

    @property
    def codes(self) -> list[str]:
        return [reason["code"] for reason in self.body["reasons"]]

    @property
    def pointers(self) -> list[str]:
        return [error["pointer"] for error in self.body["errors"]]


def send(path: str, token: str = "", body: Any = None, *, method: str = "POST", **environ: Any) -> Answer:
    """One request through the mounted lanes; `body` is JSON values or bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    path, _, query = path.partition("?")
    said: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        said.update(status=int(status[:3]), headers=dict(headers))

    def django(environ: Any, start_response: Any) -> Any:
        raise AssertionError(f"{environ['PATH_INFO']} reached Django")

    application = compose(django, settings.LANES)
    chunks = application(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(content)),
            "CONTENT_TYPE": "application/json",
            "HTTP_AUTHORIZATION": f"Bearer {token}" if token else "",
            "wsgi.input": io.BytesIO(content),
            **environ,
        },
        start_response,
    )
    return Answer(said["status"], said["headers"], json.loads(b"".join(chunks)))


def decide(token: str, tool: str = "web_search", args: Any = None, **members: Any) -> Answer:
    asked = {"tool": tool, "args": args or {}, "job": "job-7", **members}
    return send("/api/v1/policy/decide", token, {k: v for k, v in asked.items() if v is not None})


def until(holds: Any, seconds: float = 2.0) -> float:
    """Wait until `holds()`; returns the seconds it took, fails after `seconds`."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            pytest.fail(f"not within {seconds} s")
        time.sleep(0.005)
    return time.monotonic() - began
