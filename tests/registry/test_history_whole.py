"""Everything that the fleet at a moment answers, against what the change records tell and nothing else."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import given, settings
from hypothesis import strategies as st

from arm import clock
from arm.errors import DomainError
from arm.models import ChangeRecord, User
from costs.models import Cap
from costs.services import end_cap, set_cap
from registry import queries, services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, RoleAssignment
from registry.queries.history import Moment, all_then, bound_at, counts, past_page
from tests import make

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _no_gates(settings: Any) -> None:
    settings.ACTIVATION_GATES = settings.RETIREMENT_GATES = settings.BINDING_GATES = []
    settings.ROLE_GATES = []


class Fleet:
    """Two instances of an agent with two versions, a slot, a role, and people who may own it."""

    def __init__(self) -> None:
        tenant = make.tenant("acme")
        self.people = [
            make.everything(make.user(name, member_of=tenant), tenant) for name in ("alice", "bob")
        ]
        self.alice = self.people[0]
        with clock.at(NOON - 120 * MINUTE):
            self.template = make.template("invoices")
            self.versions = [make.approved(template=self.template) for _ in range(2)]
        self.place, self.provider = make.environment("dev"), make.provider("local")
        self.roles = [make.role("clerk"), make.role("checker")]
        self.slot = make.slot(environment=self.place, role=self.roles[0], provider=self.provider)
        self.known: dict[str, Any] = {one.typeid: one for one in (*self.versions, *self.roles)}
        with clock.at(NOON):
            self.rows = [
                services.provision_instance(
                    version=self.versions[0], environment=self.place, provider=self.provider, slot=self.slot,
                    name=f"desk {n}", actor=self.alice, reason="test",
                )
                for n in range(2)
            ]  # fmt: skip

    def do(self, verb: str, which: int, choice: int, minutes: int) -> None:
        """One act of a history; a refused one changes nothing and leaves no record."""
        said = {"actor": self.alice, "reason": "test"}
        row = AgentInstance.objects.get(pk=self.rows[which].pk)
        state = list(InstanceState)[choice % len(InstanceState)]
        version = self.versions[choice % 2]
        if verb == "move":
            services.move_instance(instance=row, to=state, **said)
        elif verb == "tell":
            services.tell_past(
                instance=row, state=state, version=version, since=NOON + minutes * MINUTE, **said
            )
        elif verb == "bind":
            services.bind_slot(slot=self.slot, version=version, **said)
        elif verb == "assign":
            of: dict[str, Any] = {"version": version} if minutes % 2 else {"instance": row}
            begins = {"since": clock.now() + minutes * MINUTE} if minutes > 60 else {}
            ends = {"until": clock.now() + (minutes + 30) * MINUTE} if choice % 3 == 0 else {}
            services.assign_role(
                role=self.roles[which], environment=self.place, **of, **begins, **ends, **said
            )  # fmt: skip
        elif verb == "unassign":
            held = RoleAssignment.objects.open().order_by("pk")[choice % 3 : choice % 3 + 1]
            for assignment in held:
                services.end_assignment(assignment=assignment, **said)
        elif verb == "own":
            owners = [self.people, self.people[:1], self.people[1:]][choice % 3]
            services.set_owners(template=self.template, owners=owners, **said)
        elif verb == "cap":
            set_cap(instance=row, per_day=Decimal(choice + 1), currency="USD", **said)
        elif verb == "uncap":
            for cap in Cap.objects.filter(instance=row, until=None):
                end_cap(cap=cap, **said)


class Told:
    """The same answers out of the change records alone, as they stood at `moment.known`."""

    def __init__(self, fleet: Fleet, moment: Moment) -> None:
        self.fleet, self.moment = fleet, moment
        records = ChangeRecord.objects.filter(tenant=fleet.template.tenant, at__lte=moment.known)
        self.records = list(records.order_by("at", "pk"))

    def of(self, row: AgentInstance) -> tuple[str, str] | None:
        """State and version: the latest that had begun, and of two the one told last. A move keeps the version."""
        said: list[tuple[datetime, int, str, str]] = []
        version = ""
        for number, record in enumerate(self.records):
            if record.target_id != row.pk or "state" not in record.after:
                continue
            late = record.after.get("since")
            if not late:
                version = record.after.get("version", version)
            since = datetime.fromisoformat(late) if late else record.at
            said.append((since, number, record.after["state"], record.after["version"] if late else version))
        begun = [one for one in said if one[0] <= self.moment.at]
        return max(begun)[2:] if begun else None

    def bound(self) -> str | None:
        bound = [r for r in self.records if r.verb == "registry.slot.bound" and r.at <= self.moment.at]
        return bound[-1].after["version"] if bound else None

    def owners(self) -> set[str]:
        owned = [r for r in self.records if r.verb == "registry.template.owned" and r.at <= self.moment.at]
        return set(owned[-1].after["owners"]) if owned else set()

    def roles(self, row: AgentInstance, version: str) -> list[str]:
        given: dict[Any, dict[str, Any]] = {}
        for record in self.records:
            if record.verb == "registry.role.assigned":
                given[record.target_id] = dict(record.after)
            elif record.verb == "registry.role.unassigned" and record.at <= self.moment.at:
                given[record.target_id]["until"] = record.after["until"]
        return sorted(
            self.fleet.known[one["role"]].slug
            for one in given.values()
            if (one["instance"] == row.typeid or (not one["instance"] and one["version"] == version))
            and datetime.fromisoformat(one["since"]) <= self.moment.at
            and (not one["until"] or self.moment.at < datetime.fromisoformat(one["until"]))
        )

    def cap(self, row: AgentInstance) -> str | None:
        held: dict[Any, str] = {}
        for record in self.records:
            if record.at > self.moment.at:
                continue
            if record.verb == "costs.cap.set" and record.after["instance"] == row.typeid:
                held = {record.target_id: Decimal(record.after["per_day"])}  # type: ignore[dict-item]
            elif record.verb == "costs.cap.ended":
                held.pop(record.target_id, None)
        return next((f"{amount.normalize():f} USD a day" for amount in held.values()), None)  # type: ignore[attr-defined]


VERBS = ("move", "move", "tell", "tell", "bind", "assign", "unassign", "own", "cap", "uncap")
ACTS = st.tuples(st.sampled_from(VERBS), st.integers(0, 1), st.integers(0, 9), st.integers(-30, 200))
HISTORIES = st.lists(st.tuples(ACTS, st.integers(1, 40)), min_size=6, max_size=16)
MOMENTS = st.lists(st.tuples(st.integers(-40, 400), st.integers(0, 300)), min_size=3, max_size=3)


def told(fleet: Fleet, moment: Moment, actor: User) -> None:
    expected = Told(fleet, moment)
    states: Counter[str] = Counter()
    bound = bound_at(moment, [fleet.slot.pk]).get(fleet.slot.pk)
    assert (bound.version.typeid if bound else None) == expected.bound()
    assert {one.username for one in queries.history.owners_at(moment, fleet.template)} == expected.owners()
    for row in fleet.rows:
        page, of = past_page(row, moment, actor), expected.of(row)
        found = page.then
        assert ((found.state, found.version.typeid) if found else None) == of
        if found is None or of is None:
            continue
        states[of[0]] += 1
        assert (found.binding.version.typeid if found.binding else None) == expected.bound()
        assert sorted(held.role.slug for held in page.roles) == expected.roles(row, of[1])
        caps = next(one for one in page.sections if one.title == "Cap then")
        assert next((line.label for line in caps.lines), None) == expected.cap(row)
    there = all_then(moment, AgentInstance.objects.filter(pk__in=[row.pk for row in fleet.rows]))
    assert there is not None
    assert [dict(count.states) for count in counts(there)] == ([dict(states)] if states else [])


def test_all_that_the_fleet_at_a_moment_answers_is_what_the_change_records_tell() -> None:
    acts: Counter[str] = Counter()

    fleet = Fleet()

    @settings(max_examples=10, deadline=None)
    @given(HISTORIES, MOMENTS)
    def equal(history: list[Any], moments: list[Any]) -> None:
        with transaction.atomic():
            now = NOON
            for (verb, which, choice, minutes), later in history:
                now += later * MINUTE
                try:
                    with clock.at(now), transaction.atomic():
                        fleet.do(verb, which, choice, minutes)
                    acts[verb] += 1
                except DomainError:
                    continue  # no such move, no such past, or it is so already
            for after, later in moments:
                at = NOON + after * MINUTE
                told(fleet, Moment(at, at + later * MINUTE), fleet.alice)
            transaction.set_rollback(True)

    equal()
    assert acts.keys() == set(VERBS)  # none of them was refused every time


def test_the_page_and_the_api_name_the_roles_and_the_cap_of_that_moment() -> None:
    fleet = Fleet()
    row = fleet.rows[0]
    for minutes, verb in ((10, "assign"), (20, "cap"), (60, "uncap")):
        with clock.at(NOON + minutes * MINUTE):
            fleet.do(verb, 0, 1, 2)
    client = Client()
    client.force_login(fleet.alice)
    at = f"at={clock.exactly(NOON + 30 * MINUTE)}"
    page = client.get(f"/registry/instances/{row.typeid}/at/?{at}").content.decode()
    assert f"{fleet.roles[0]}</a> (itself)" in page and "2 USD a day" in page
    told = client.get(f"/api/v1/registry/instances/{row.typeid}/at/?{at}").json()
    assert told["roles"] == ["clerk"]
    late = client.get(
        f"/registry/instances/{row.typeid}/at/?at={clock.exactly(NOON + 61 * MINUTE)}"
    ).content.decode()
    assert "It had no cap." in late and "2 USD a day" not in late
    early = client.get(
        f"/api/v1/registry/instances/{row.typeid}/at/?at={clock.exactly(NOON + MINUTE)}"
    ).json()
    assert early["roles"] == []
