"""Where the story is played: one installation, a provider's adapter beside it, an agent that answers, and ways in."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import psycopg
from playwright.sync_api import Page, sync_playwright

from tests import chromium
from tests.hostile import Hostile

from ..product import Product, parents, wait_for
from .setting import PASSWORD

SDK = Path(__file__).parents[3] / "sdk" / "adapter"
POLL = 0.5
"""Seconds between two questions of the adapter."""


class Cloud:
    """A provider's machine: a directory with a configuration and a runtime, and the adapter as a process."""

    def __init__(self, place: Path, url: str, version: str, instances: list[str]) -> None:
        self.place, self.process = place, None
        self.config, self.fleet = place / "adapter.toml", place / "instances.json"
        rows = [
            {"external_id": f"job-{n}", "id": id, "version_id": version, "state": "Active"}
            for n, id in enumerate(instances)
        ]
        self.fleet.write_text(json.dumps({"instances": rows}))
        self.config.write_text(
            f'url = "{url}"\nstate = "state"\nruntime = "arm_adapter.simulated:SimulatedRuntime"\n'
            f'poll_s = {POLL}\nheartbeat_s = 0.5\n[options]\nfile = "{self.fleet}"\n'
        )

    def call(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "arm_adapter", *arguments, "--config", str(self.config)],
            cwd=SDK, env={"PATH": "", **environment}, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    def start(self) -> None:
        with (self.place / "adapter.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "arm_adapter", "run", "--config", str(self.config)],
                cwd=SDK, env={"PATH": ""}, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        return (self.place / "adapter.log").read_text()

    def state_of(self, instance: str) -> str:
        rows = json.loads(self.fleet.read_text())["instances"]
        return next(row["state"] for row in rows if row["id"] == instance)

    def lose(self, instance: str) -> None:
        """Somebody starts the agent again behind ARM's back."""
        said = json.loads(self.fleet.read_text())
        for row in said["instances"]:
            row["state"] = "Active" if row["id"] == instance else row["state"]
        beside = self.fleet.with_suffix(".lost")
        beside.write_text(json.dumps(said))
        os.replace(beside, self.fleet)


@dataclass
class Stage:
    """`facts` are identifiers and secrets; `broken` is the step at which the story ended."""

    running: Product
    facts: dict[str, Any]
    place: Path
    agent: Hostile
    cloud: Cloud
    broken: str = ""

    @property
    def url(self) -> str:
        return self.running.url

    def token(self, name: str) -> str:
        found: str = self.facts["tokens"][name]
        return found

    def api(self, path: str, name: str, body: Any = None) -> tuple[int, Any]:
        """Ask web's API as this person: status and parsed JSON."""
        return call(f"{self.url}/api/v1/{path}", self.token(name), body)

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """What the gateway decides about a call of the agent."""
        status, answer = call(f"{self.running.gateway}/api/v1/policy/decide", self.facts["workload"], body)
        assert status == 200, answer
        found: dict[str, Any] = answer
        return found

    def database(self, sql: str, *values: Any) -> Any:
        """One value, read as the owner of the machine would."""
        with psycopg.connect(self.running.superuser_url, autocommit=True) as connection:
            row = connection.execute(sql, values).fetchone()
        return row[0] if row else None

    @contextmanager
    def asleep(self, *masters: str) -> Iterator[None]:
        """These processes, and all below them, do nothing meanwhile."""
        tops = [self.running.pid(words) for words in masters]
        family = [pid for pid in self.running.every_pid() if _below(pid, tops)]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in family:
                os.kill(pid, signal.SIGCONT)


Result = TypeVar("Result")
WORKER, SIGNER = "qcluster --name arm", "qcluster --name signer"


def _below(pid: int, tops: list[int]) -> bool:
    known = parents()
    while pid in known:
        if pid in tops:
            return True
        pid = known[pid]
    return False


def call(url: str, token: str, body: Any = None) -> tuple[int, Any]:
    """Status and parsed JSON of one request."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(url, data, headers), timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except HTTPError as refusal:
        return refusal.code, json.loads(refusal.read() or b"null")


class Forms:
    """A person's session, as far as forms go."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self.fill("/sign-in/", username=name, password=PASSWORD)

    def see(self, path: str) -> str:
        return self.opener.open(self.url + path, timeout=30).read().decode()

    def fill(self, path: str, **members: str) -> str:
        """Send the form of this page with its hidden fields; HTTPError where it is refused."""
        page = self.see(path)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        said = urlencode(hidden | members).encode()
        answer = self.opener.open(Request(self.url + path, said, {"Referer": self.url + path}), timeout=30)
        return answer.read().decode()

    def head_of(self, instance: str) -> str:
        """What the head of the instance's page says."""
        page = self.see(f"/registry/instances/{instance}/")
        (head,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
        return " ".join(re.sub(r"<[^>]+>", " ", head).split())


@contextmanager
def signed_in(url: str, name: str) -> Iterator[Page]:
    """A page of a browser of its own, with this person's session."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.path(), args=chromium.FLAGS)
        page = browser.new_page()
        page.goto(f"{url}/sign-in/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{url}/")
        yield page


def apart(does: Callable[..., Result], *arguments: Any) -> Result:
    """In a thread of its own: another test of this process may hold a browser."""
    with ThreadPoolExecutor(1) as own:
        return own.submit(does, *arguments).result()


def until(reached: Callable[[], bool], told: Callable[[], str], seconds: float = 30) -> None:
    """As wait_for, with what was there when the time was over."""
    try:
        wait_for(reached, seconds)
    except AssertionError as problem:
        raise AssertionError(f"{problem}: {told()}") from problem
