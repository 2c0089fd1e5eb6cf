"""The reference adapter against the real addresses over a wire that loses, doubles and delays: once the faults stop, the
runtime is what is wanted, and ARM says so because it was proven."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.signing import keys
from federation import services
from federation.models import Command, Desired, InstanceReport
from federation.protocol.commands import TERMINAL
from federation.protocol.states import RunState
from registry.lifecycle import InstanceState
from registry.models import AgentInstance
from tests import make

from .provider import Adapter as Played
from .provider import federated, people

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "sdk" / "adapter"))

from arm_adapter.adapter import Adapter
from arm_adapter.config import Config
from arm_adapter.connection import Connection
from arm_adapter.crypto import Keys
from arm_adapter.http import Http, Unreachable
from arm_adapter.http import Refused as Answered
from arm_adapter.simulated import SimulatedRuntime
from arm_adapter.store import Store
from arm_adapter.trust import Trust

pytestmark = pytest.mark.django_db
STATES = (InstanceState.ACTIVE, InstanceState.PAUSED, InstanceState.READ_ONLY, InstanceState.QUARANTINED)


class Wire(Http):
    """HTTP to the product in this process; `faults` says what happens to the next requests."""

    def __init__(self) -> None:
        self.client, self.faults = Client(), []

    def _ask(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Any:
        fault = self.faults.pop() if self.faults else "none"
        if fault == "request lost":
            raise Unreachable(url)
        for _ in range(2 if fault == "sent twice" else 1):
            said = dict(headers)
            kind = said.pop("Content-Type", "application/json")
            path = url.removeprefix("http://testserver")
            answer = self.client.generic(method, path, body, content_type=kind, headers=said)
        if fault == "answer lost":
            raise Unreachable(url)
        if answer.status_code >= 500:
            pytest.fail(answer.content.decode())  # an assertion would be waited out like any other mishap
        told = json.loads(answer.content) if answer.content else None
        if answer.status_code >= 300:
            raise Answered(answer.status_code, told.get("code", ""), told.get("detail", ""))
        return told


class World:
    """One provider with one instance at a time, and its adapter."""

    def __init__(self, place: Path) -> None:
        self.place, self.number = place, 0
        tenant = make.tenant("acme")
        self.config = Config("http://testserver", place / "state", "", {})
        self.keys = Keys(self.config.state)
        played = Played(federated(tenant=tenant), *people(tenant))
        played.auth, played.attest = self.keys.auth, self.keys.attest
        self.provider, self.client = played.provider, played.approved()
        assert keys.key_id(self.keys.attest.public_key()) == self.client.attest_kid
        self.version = make.approved(template=make.template(tenant=tenant))

    def begin(self) -> None:
        """Another instance, and an adapter that has seen nothing."""
        self.number += 1
        self.one = make.instance(provider=self.provider, version=self.version)
        services.decide(instances=[self.one.pk], actor=None, reason_code="begun")
        row = {"external_id": f"job-{self.number}", "id": self.one.typeid, "version_id": self.version.typeid}
        self.fleet = self.place / f"fleet-{self.number}.json"
        self.fleet.write_text(json.dumps({"instances": [row | {"state": "Active"}]}))
        self.wire, self.highest, self.ended = Wire(), 0, {}
        self.restart()

    def restart(self) -> None:
        """The process died, and another begins with what it had stored."""
        store = Store(self.config.state / f"store-{self.number}.sqlite")
        link = Connection(self.config, self.keys, self.client.typeid, Trust(store))
        link.http = self.wire
        self.adapter = Adapter(link, store, SimulatedRuntime(str(self.fleet)), poll_s=10, heartbeat_s=20)

    def want(self, state: InstanceState) -> None:
        AgentInstance.objects.filter(pk=self.one.pk).update(state=state)
        services.decide(instances=[self.one.pk], actor=None, reason_code="wanted")

    def lose(self) -> None:
        said = json.loads(self.fleet.read_text())
        said["instances"][0]["state"] = "Active"
        self.fleet.write_text(json.dumps(said))

    def step(self) -> None:
        Command.objects.filter(instance=self.one).update(lease_until=None)  # every lease is over
        self.adapter.next_poll = self.adapter.next_beat = 0.0
        self.adapter.retries.clear()
        self.adapter.step()
        self.hold()

    def hold(self) -> None:
        """What is true at every moment."""
        applied = [order.generation for order in self.adapter.store.orders().values() if order.applied_at]
        if applied:  # a newer order is kept from the moment it is known, and applied a little later
            assert max(applied) >= self.highest, "the applied generation never falls"
            self.highest = max(applied)
        for command in Command.objects.filter(instance=self.one):
            assert self.ended.get(command.pk, command.state) == command.state, "what has ended stays ended"
            if command.state in TERMINAL:
                self.ended[command.pk] = command.state
        desired = Desired.objects.get(instance=self.one)
        report = InstanceReport.objects.filter(instance=self.one).first()
        if report is not None and report.attested_generation == desired.generation:
            assert report.attested_state == desired.run_state

    @property
    def state(self) -> str:
        return json.loads(self.fleet.read_text())["instances"][0]["state"]


FAULTS = st.lists(st.sampled_from(["none", "none", "request lost", "answer lost", "sent twice"]), max_size=8)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.sampled_from(STATES)),
        st.tuples(st.just("step"), FAULTS),
        st.tuples(st.just("restart"), st.none()),
        st.tuples(st.just("lose"), st.none()),
    ),
    max_size=10,
)


def test_after_the_faults_the_runtime_is_what_is_wanted_and_proven(tmp_path):
    world = World(tmp_path)

    @settings(max_examples=12)
    @given(STEPS)
    def converges(steps):
        world.begin()
        for verb, with_ in steps:
            if verb == "want":
                world.want(with_)
            elif verb == "step":
                world.wire.faults = list(with_)
                world.step()
            elif verb == "restart":
                world.restart()
            else:
                world.lose()
        world.wire.faults = []
        for _ in range(6):
            world.step()
        desired = Desired.objects.get(instance=world.one)
        assert world.state == desired.run_state
        report = InstanceReport.objects.get(instance=world.one)
        assert (report.state, report.attested_generation) == (desired.run_state, desired.generation)
        assert Command.objects.get(instance=world.one, generation=desired.generation).state == "enforced"
        assert RunState(desired.run_state)

    converges()
