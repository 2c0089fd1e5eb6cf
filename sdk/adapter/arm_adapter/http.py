"""Requests to ARM: one connection pool, no redirects, and refusals with their codes."""

import json
from typing import Any
from urllib.parse import urlencode

import urllib3

from . import NAME, VERSION


class Unreachable(Exception):
    """Nobody answered, or only that it is busy: ask again later."""


class Refused(Exception):
    """ARM answered with a problem document: `status` and `code` say which."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code, self.detail = status, code, detail


class Http:
    def __init__(self) -> None:
        timeout = urllib3.Timeout(connect=5, read=30)
        self.pool = urllib3.PoolManager(
            retries=False, timeout=timeout, headers={"User-Agent": f"{NAME}/{VERSION}"}
        )

    def get(self, url: str, headers: dict[str, str] | None = None) -> Any:
        return self._ask("GET", url, b"", headers or {})

    def send(self, method: str, url: str, said: Any, headers: dict[str, str]) -> Any:
        """`said`: bytes as they are, anything else as JSON. Returns the parsed answer, None for an empty one."""
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        return self._ask(method, url, body, {"Content-Type": "application/json; charset=utf-8", **headers})

    def form(self, url: str, members: dict[str, str]) -> Any:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._ask("POST", url, urlencode(members).encode(), kind)

    def _ask(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Any:
        try:
            answer = self.pool.request(method, url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as problem:
            raise Unreachable(f"{url}: {problem}") from problem
        if answer.status >= 500 or answer.status == 429:
            raise Unreachable(f"{url} answers {answer.status}")
        try:
            said = json.loads(answer.data) if answer.data else None
        except ValueError as problem:
            raise Unreachable(f"{url} answers {answer.status} with what is no JSON") from problem
        if answer.status >= 300:
            known = said if isinstance(said, dict) else {}
            raise Refused(answer.status, str(known.get("code", "")), str(known.get("detail", "")))
        return said
