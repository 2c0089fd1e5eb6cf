"""What tests of random histories share: a fleet that people act on through the services, and the same answers out of the
change records alone."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction

from arm import clock
from arm.models import ChangeRecord, User
from costs.models import Cap
from costs.services import end_cap, set_cap
from policy.engine import Mode
from policy.models import Binding, Posture
from policy.services import (
    activate_version,
    bind_policy,
    draft_version,
    lift_posture,
    set_posture,
    unbind_policy,
)
from registry import queries, services
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, AgentVersion, RoleAssignment
from registry.queries.history import Moment, bound_at, counts, past_page
from tests import make

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


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
            self.versions = [self.approved() for _ in range(2)]
        self.place, self.provider = make.environment("dev"), make.provider("local")
        self.roles = [make.role("clerk"), make.role("checker")]
        self.slot = make.slot(environment=self.place, role=self.roles[0], provider=self.provider)
        self.policy = make.policy_version(tenant=tenant, created_by=self.alice).policy
        with clock.at(NOON - 90 * MINUTE):
            self.rules(0)
        self.known: dict[str, Any] = {one.typeid: one for one in (*self.versions, *self.roles)}
        with clock.at(NOON):
            self.rows = [
                services.provision_instance(
                    version=self.versions[0], environment=self.place, provider=self.provider, slot=self.slot,
                    name=f"desk {n}", actor=self.alice, reason="test",
                )
                for n in range(2)
            ]  # fmt: skip

    def approved(self) -> AgentVersion:
        return make.approved(template=self.template)

    def rules(self, choice: int) -> None:
        """Another version of the policy comes into force: who wrote it does not activate it."""
        with transaction.atomic():
            draft = self.policy.versions.filter(state="draft").first() or draft_version(
                policy=self.policy,
                content=make.policy_document(tier=choice % 3),
                actor=self.alice,
                note="test",
            )
            activate_version(version=draft, actor=self.people[1], reason="test")

    def do(self, verb: str, which: int, choice: int, minutes: int) -> None:
        """One act of a history; a refused one changes nothing and leaves no record."""
        said = {"actor": self.alice, "reason": "test"}
        row = AgentInstance.objects.get(pk=self.rows[which % len(self.rows)].pk)
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
                role=self.roles[which % len(self.roles)], environment=self.place, **of, **begins, **ends, **said
            )  # fmt: skip
        elif verb == "unassign":
            # One with an end is over by the database's own clock, which this history lies before: it is frozen.
            held = RoleAssignment.objects.filter(until=None).order_by("pk")[choice % 3 : choice % 3 + 1]
            for assignment in held:
                services.end_assignment(assignment=assignment, **said)
        elif verb == "own":
            owners = [self.people, self.people[:1], self.people[1:]][choice % 3]
            services.set_owners(template=self.template, owners=owners, **said)
        elif verb == "rules":
            self.rules(choice)
        elif verb == "hold":
            bind_policy(policy=self.policy, target=(row, self.template, version)[choice % 3], **said)
        elif verb == "unhold":
            for binding in Binding.objects.filter(until=None).order_by("pk")[choice % 2 : choice % 2 + 1]:
                unbind_policy(binding=binding, actor=self.people[1], reason="test")
        elif verb == "stop":
            until = clock.now() + abs(minutes) * MINUTE if choice % 2 and minutes else None
            mode = (Mode.PAUSED, Mode.DRAINING)[minutes % 2]
            set_posture(scope=(row, self.template)[choice % 3 == 0], mode=mode, until=until, **said)
        elif verb == "lift":
            for posture in Posture.objects.in_force().order_by("pk")[choice % 2 : choice % 2 + 1]:
                lift_posture(posture=posture, actor=self.people[1], reason="test")
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

    def policy(self, row: AgentInstance, version: str) -> list[tuple[str, str]]:
        """The policy as it held for it, with the version that was active, and the stops that stood."""
        reached = {row.typeid, row.template.typeid, version}
        active, held, stops = "no active version", {}, {}
        for record in self.records:
            if record.at > self.moment.at:
                continue
            if record.verb == "policy.version.activated":
                active = f"version {record.after['number']}"
            elif record.verb == "policy.binding.created" and record.after["target_id"] in reached:
                held[record.target_id] = record.after["target"]
            elif record.verb == "policy.binding.ended":
                held.pop(record.target_id, None)
            elif record.verb == "policy.posture.set" and record.after["scope"] in reached:
                until = record.after["until"]
                if not until or datetime.fromisoformat(until) > self.moment.at:
                    stops[record.target_id] = record.after["mode"]
            elif record.verb == "policy.posture.lifted":
                stops.pop(record.target_id, None)
        return sorted(
            [*((str(self.fleet.policy), f"{active}, on {target}") for target in held.values())]
            + [(f"Stop: {mode.capitalize()}", "") for mode in stops.values()]
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
        rules = next(one for one in page.sections if one.title == "Policy then")
        said = [(line.label, "" if line.label.startswith("Stop") else line.text) for line in rules.lines]
        assert sorted(said) == expected.policy(row, of[1])
    counted = counts(moment, AgentInstance.objects.filter(pk__in=[row.pk for row in fleet.rows]))
    assert counted is not None
    assert [dict(count.states) for count in counted] == ([dict(states)] if states else [])
