"""What is answered of random histories of releases, against the change records alone."""

from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import Any

from arm import clock
from arm.models import ChangeRecord
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, AgentVersion, DeploymentSlot
from registry.queries.history import Moment, all_then, bound_at, counts, difference, instances_at, past_page
from tests.registry.histories import MINUTE, Told
from tests.registry.histories_of_releases import Releases

I, V = InstanceState, VersionState
BOUND = ("registry.slot.bound", "registry.slot.returned", "registry.slot.rolled_back")
FREED = ("registry.slot.emptied", "registry.slot.closed")
BEGUN = ("registry.instance.provisioned", "registry.instance.spawned")


class ToldOfReleases(Told):
    """Also which instances there were and in which slots, and what their versions were approved by."""

    fleet: Releases

    def happened(self) -> list[ChangeRecord]:
        """What is decided here had happened by a moment if it had been told by it."""
        return [record for record in self.records if record.at <= self.moment.at]

    def slot_of(self, row: AgentInstance) -> str:
        begun = (one for one in self.records if one.target_id == row.pk and one.verb in BEGUN)
        return str(next(begun).after.get("slot", ""))

    def bound_in(self, slot: str) -> str | None:
        held: str | None = None
        for record in self.happened():
            if record.target_id == self.fleet.by_id[slot]:
                if record.verb in BOUND:
                    held = record.after["version"]
                elif record.verb in FREED:
                    held = None
        return held

    def approved(self, version: str) -> list[str]:
        """By whom: each new round of a candidate begins with nobody."""
        given: dict[str, str] = {}
        for record in self.happened():
            if record.target_id != self.fleet.known[version].pk:
                continue
            if record.verb == "registry.version.moved" and record.after["state"] == V.CANDIDATE:
                given = {}
            elif record.verb == "registry.version.approval_given":
                given[record.after["approval"]] = record.actor_label
            elif record.verb == "registry.version.approval_withdrawn":
                given.pop(record.after["approval"], None)
        return sorted(given.values())

    def all(self) -> dict[Any, tuple[str, str]]:
        """State and version of every instance there was."""
        found = ((row, self.of(row)) for row in self.fleet.rows)
        return {row.pk: of for row, of in found if of is not None}


def instants() -> list[datetime]:
    """Every moment at which something happened, or is told to have."""
    found = set()
    for record in ChangeRecord.objects.order_by("at"):
        found.add(record.at)
        if record.verb == "registry.instance.past_told":
            found.add(datetime.fromisoformat(record.after["since"]))
    return sorted(found)


def moment(there: list[datetime], chance: Random) -> Moment:
    """One of the instants, a microsecond before it or a while after, as known at another one."""
    nudge = chance.choice((timedelta(0), timedelta(microseconds=-1), 3 * MINUTE))
    at = chance.choice(there) + nudge
    return Moment(at, max(at, chance.choice(there)))


def told(fleet: Releases, moments: list[Moment]) -> None:
    """Everything that is answered of each moment, and what lies between one and the next."""
    fleet.rows = list(AgentInstance.objects.filter(tenant=fleet.template.tenant).order_by("pk"))
    rows = AgentInstance.objects.filter(tenant=fleet.template.tenant)
    before: tuple[Moment, Any, dict[Any, tuple[str, str]]] | None = None
    for number, now in enumerate(moments):
        expected = ToldOfReleases(fleet, now)
        every = expected.all()
        found = {row.pk: row for row in instances_at(now, rows) if row.then_id is not None}
        said = {pk: (row.then_state, AgentVersion(pk=row.then_version).typeid) for pk, row in found.items()}
        assert said == every, now
        there = all_then(now, rows)
        assert there is not None
        states = Counter(state for state, _ in every.values())
        counted = counts(now, rows)
        assert counted is not None
        assert [dict(count.states) for count in counted] == ([dict(states)] if states else [])
        if before is not None:
            compared(before, (now, there, every))
        before = (now, there, every)
        bound = bound_at(now, [slot.pk for slot in fleet.slots])
        for slot in fleet.slots:
            held = bound[slot.pk].version.typeid if slot.pk in bound else None
            assert held == expected.bound_in(slot.typeid), (slot, now)
        for row in [row for row in fleet.rows if row.pk in every][number::7]:
            page_told(expected, row, every[row.pk])


def compared(before: Any, after: Any) -> None:
    """What began, ended, or was otherwise: retired is ended, and what is retired at both is not spoken of."""
    sides = [{pk: of for pk, of in every.items() if of[0] != I.RETIRED} for _, _, every in (before, after)]
    differs = difference(before[:2], after[:2])
    told = {row.instance.pk: tuple((side.state, side.version.typeid) if side else None for side in (row.before, row.after)) for row in differs.rows}  # fmt: skip
    keys = {pk for pk in sides[0].keys() | sides[1].keys() if sides[0].get(pk) != sides[1].get(pk)}
    reported = {pk for pk, (one, other) in told.items() if one == other}  # what they said of themselves
    assert told.keys() - reported == keys
    assert all(told[pk] == (sides[0].get(pk), sides[1].get(pk)) for pk in keys)


def page_told(expected: ToldOfReleases, row: AgentInstance, of: tuple[str, str]) -> None:
    page = past_page(row, expected.moment, expected.fleet.alice)
    then, slot = page.then, expected.slot_of(row)
    assert then is not None and (then.state, then.version.typeid) == of
    assert (row.slot.typeid if row.slot else "") == slot
    bound = then.binding.version.typeid if then.binding else None
    assert bound == (expected.bound_in(slot) if slot else None)
    assert {one.username for one in page.owners} == expected.owners()
    assert sorted(held.role.slug for held in page.roles) == expected.roles(row, of[1])
    sections = {one.title: one.lines for one in page.sections}
    assert [line.label for line in sections["Cap then"]] == [expected.cap(row)] * bool(expected.cap(row))
    rules = [
        (line.label, "" if line.label.startswith("Stop") else line.text) for line in sections["Policy then"]
    ]
    assert sorted(rules) == expected.policy(row, of[1])
    approved = sections["Approvals of the version then"]
    assert sorted(line.label for line in approved) == expected.approved(of[1])


def present_told(fleet: Releases) -> None:
    """What is wanted now is what the last records say, whatever was told of the past."""
    now = clock.now()
    expected = ToldOfReleases(fleet, Moment(now, now))
    for row in AgentInstance.objects.filter(tenant=fleet.template.tenant):
        assert (row.state, row.version.typeid) == expected.of(row), row
    for slot in DeploymentSlot.objects.filter(pk__in=[slot.pk for slot in fleet.slots]):
        held = slot.current_version.typeid if slot.current_version else None
        assert held == expected.bound_in(slot.typeid)
    for version in AgentVersion.objects.filter(template=fleet.template):
        moves = [
            r for r in expected.records if r.target_id == version.pk and r.verb == "registry.version.moved"
        ]
        assert version.state == (moves[-1].after["state"] if moves else fleet.known[version.typeid].state)
