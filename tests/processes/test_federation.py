"""A real adapter beside the real product: a stop reaches it with worker and signer asleep, and only proof is believed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .product import Product, wait_for
from .setting import PASSWORD

pytestmark = pytest.mark.processes
SDK = Path(__file__).parent.parent.parent / "sdk" / "adapter"
sys.path.insert(0, str(SDK))

from arm_adapter import config, crypto
from arm_adapter.connection import Connection
from arm_adapter.runtime import Instance
from arm_adapter.store import Order, Store
from arm_adapter.trust import Trust

POLL = 0.5


class Browser:
    """A person's browser, as far as forms go."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))
        self.fill("/sign-in/", username=name, password=PASSWORD)

    def see(self, path: str) -> str:
        return self.opener.open(self.url + path, timeout=30).read().decode()

    def fill(self, path: str, **members: str) -> str:
        """Send the form of this page with its hidden fields."""
        page = self.see(path)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
        said = urlencode(hidden | members).encode()
        answer = self.opener.open(Request(self.url + path, said, {"Referer": self.url + path}), timeout=30)
        return answer.read().decode()


@pytest.fixture(scope="module")
def facts(running: Product) -> dict[str, Any]:
    said = running.manage("shell", "-c", "from tests.processes.federated import build; build()")
    return json.loads(said.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def bob(running: Product, facts: dict[str, Any]) -> Browser:
    return Browser(running.url, "bob")


class Provider:
    """A provider's machine: a directory with a configuration and a runtime, and the adapter as a process."""

    def __init__(self, place: Path, url: str, facts: dict[str, Any]) -> None:
        self.place, self.process = place, None
        self.config, self.fleet = place / "adapter.toml", place / "instances.json"
        rows = [
            {"external_id": f"job-{n}", "id": id, "version_id": facts["version"], "state": "Active"}
            for n, id in enumerate(facts["instances"])
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


@pytest.fixture(scope="module")
def cloud(
    running: Product, facts: dict[str, Any], bob: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Provider]:
    """Invited by Alice, registered by the adapter, approved by Bob, all through pages and processes."""
    found = Provider(tmp_path_factory.mktemp("cloud"), running.gateway, facts)
    alice = Browser(running.url, "alice")
    page = alice.fill(f"/federation/providers/{facts['provider']}/invite/", reason="A new cloud.")
    (token,) = set(re.findall(r"armr_\w{42}", page))
    registered = found.call("register", ARM_REGISTRATION_TOKEN=token)
    assert registered.returncode == 0, registered.stderr
    (client,) = set(re.findall(r"pcl_\w{26}", registered.stdout))
    assert found.call("register", ARM_REGISTRATION_TOKEN=token).returncode == 1  # used
    approval = f"/federation/clients/{client}/approve/"
    for key in re.findall(r"(?:auth|attest) +(\S{43})", registered.stdout):
        assert key in bob.see(approval)
    assert "does not approve" in refused(alice, approval, reason="Mine.", compared="on")
    assert "Registered" in bob.fill(approval, reason="Compared by telephone.", compared="on")
    found.start()
    yield found
    if found.process is not None and found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def refused(browser: Browser, path: str, **members: str) -> str:
    with pytest.raises(HTTPError) as answer:
        browser.fill(path, **members)
    return answer.value.read().decode()


def move(running: Product, facts: dict[str, Any], instance: str, to: str) -> float:
    """A stop by the API; the moment at which it was answered."""
    request = Request(
        f"{running.url}/api/v1/registry/instances/{instance}/move/",
        json.dumps({"to": to, "reason": "It misbehaves."}).encode(),
        {"Authorization": f"Bearer {facts['token']}", "Content-Type": "application/json"},
    )
    assert urlopen(request, timeout=30).status == 200
    return time.monotonic()


def shown(browser: Browser, instance: str) -> str:
    """What the head of the instance's page says."""
    page = browser.see(f"/registry/instances/{instance}/")
    (head,) = re.findall(r"<h1[^>]*>(.*?)</h1>", page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", head).split())


def until(reached: Callable[[], bool], told: Callable[[], str], seconds: float = 30) -> None:
    """As wait_for, with what was there when the time was over."""
    try:
        wait_for(reached, seconds)
    except AssertionError as problem:
        raise AssertionError(f"{problem}: {told()}") from problem


def asleep(running: Product, number: int) -> None:
    for words in ("qcluster --name arm", "qcluster --name signer"):
        master = running.pid(words)
        family = [master, *children(master)]
        for pid in family:
            os.kill(pid, number)


def children(parent: int) -> list[int]:
    said = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False
    )
    found = [int(pid) for pid in said.stdout.split()]
    return found + [grand for child in found for grand in children(child)]


def test_the_adapter_reports_its_fleet_and_proves_that_it_is_at_work(running, facts, bob, cloud):
    one, _ = facts["instances"]
    until(lambda: "Active (attested)" in shown(bob, one), lambda: f"{shown(bob, one)} {cloud.log}")
    listed = bob.see("/registry/instances/")
    assert listed.count("(attested)") >= 1 and "Cloud" in listed


def test_a_stop_reaches_the_adapter_with_worker_and_signer_asleep_and_is_proven(running, facts, bob, cloud):
    one, _ = facts["instances"]
    asleep(running, signal.SIGSTOP)
    try:
        before = time.monotonic()
        move(running, facts, one, "quarantined")
        seen = set()

        def proven() -> bool:
            seen.add(re.sub(r"\d+ s", "n s", shown(bob, one)))
            return "Quarantined (attested)" in shown(bob, one)

        until(proven, lambda: f"{shown(bob, one)} {cloud.log}", 15)
        took = time.monotonic() - before
        assert cloud.state_of(one) == "Quarantined"
        assert took < 10, f"{took:.1f} s"
    finally:
        asleep(running, signal.SIGCONT)
    with psycopg.connect(running.superuser_url) as connection:
        state, decided, delivered, acked, attested = connection.execute(
            "SELECT c.state, decided_at, delivered_at, acked_at, attested_at FROM federation_command c"
            " JOIN registry_agentinstance i ON i.id = c.instance_id WHERE i.name = 'desk-1'"
            " ORDER BY c.generation DESC LIMIT 1"
        ).fetchone()
    assert state == "enforced" and decided < delivered <= acked <= attested
    assert (delivered - decided).total_seconds() <= POLL + 1, (
        "a polling adapter has it within its interval and a second"
    )
    assert all("Quarantined" not in words.split(" (")[0] or "attested" in words for words in seen), seen
    page = bob.see(f"/registry/instances/{one}/")
    for word in ("Desired", "Reported", "Attested", "Delivered", "Acknowledged"):
        assert word in page


def test_an_instance_that_is_started_again_behind_our_back_is_seen_and_stopped_again(
    running, facts, bob, cloud
):
    one, _ = facts["instances"]
    cloud.lose(one)
    until(lambda: cloud.state_of(one) == "Quarantined", lambda: cloud.log)
    until(lambda: "Quarantined (attested)" in shown(bob, one), lambda: f"{shown(bob, one)} {cloud.log}")
    assert "went back behind" in bob.see("/incidents/")


def test_a_killed_adapter_leaves_unknown_with_its_age(running, facts, bob, cloud):
    one, two = facts["instances"]
    cloud.process.kill()
    cloud.process.wait()
    until(lambda: "Unknown" in shown(bob, one), lambda: shown(bob, one))
    assert re.search(r"Unknown \d+ (s|min)", shown(bob, one))
    assert re.search(r"Unknown \d+ (s|min)", shown(bob, two))


def test_a_forged_proof_leaves_quarantining(running, facts, bob, cloud):
    """The adapter is dead; somebody who has its way in, but not its attest key, claims that it obeyed."""
    _, two = facts["instances"]
    move(running, facts, two, "quarantined")
    settings = config.read(cloud.config)
    keys = crypto.Keys(settings.state)
    store = Store(settings.state / "store.sqlite")
    link = Connection(settings, keys, store.fact("client_id"), Trust(store))
    link.discover()
    link.handshake()
    said = link.http.get(
        f"{link.places['desired_endpoint']}/{two}",
        {"Authorization": f"Bearer {link.token}", "ARM-Session": link.session},
    )
    wanted, number = said["desired"], said["generation"]
    order = Order(
        two, number, said["sha256"], wanted["command_id"], wanted, wanted["issued_at"], False, False
    )
    claimed = Instance("job-1", two, facts["version"], "Quarantined")
    keys.attest = Ed25519PrivateKey.generate()
    answer = link.attest(claimed, order)
    assert (answer["ok"], answer["code"]) == (False, "signature-invalid")
    link.heartbeat([], [(Instance("job-1", two, facts["version"], "Active"), number - 1)], ("ok", ""))
    assert "Quarantining" in shown(bob, two), shown(bob, two)
    page = bob.see(f"/registry/instances/{two}/")
    assert "signature-invalid" in page
    with psycopg.connect(running.superuser_url) as connection:
        codes = [
            row[0]["code"]
            for row in connection.execute(
                "SELECT detail FROM arm_securityevent WHERE kind = 'refused' AND label LIKE 'federation%'"
            )
        ]
    assert "signature-invalid" in codes


def test_started_again_the_adapter_does_what_it_missed_and_says_goodbye_when_it_is_told_to_stop(
    running, facts, bob, cloud
):
    one, two = facts["instances"]
    cloud.start()
    until(lambda: "Quarantined (attested)" in shown(bob, two), lambda: f"{shown(bob, two)} {cloud.log}")
    until(lambda: "Quarantined (attested)" in shown(bob, one), lambda: f"{shown(bob, one)} {cloud.log}")
    cloud.process.send_signal(signal.SIGTERM)
    assert cloud.process.wait(20) == 0
    assert "said goodbye" in cloud.log
