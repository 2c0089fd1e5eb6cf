"""Whether an instance stands where its version was released to: nobody goes around the channels by provisioning (ADR 55, 59)."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet
from django.urls import reverse

from arm.rights import Right

from ..lifecycle import InstanceState
from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Environment,
    InstanceInterval,
    ReleaseException,
    SlotBinding,
)
from . import CHANNEL_ORDER, Verdict


def why_not_in(version: AgentVersion, slot: DeploymentSlot) -> str:
    """Why nothing of the version works in this slot, as a sentence; nothing where it may."""
    if version.pk == slot.current_version_id:
        return ""  # nearly every row of a table of thousands
    if DeploymentSlot.objects.taking(version.pk).filter(pk=slot.pk).exists():
        return ""
    return f"{slot} is bound to {slot.current_version or 'nothing'}, not to {version}."


class InItsPlace:
    """Before Active: the instance's slot is bound to its version, tries it, or hands over from it; outside slots, in
    production, the version stands in a slot there, came through the channel before, or an exception lets it in.

    What another instance started is asked the same, but for copies of its parent where that works (ADR 64). Of an agent
    that was never released through a slot, what was taken over as it ran, or has worked here, may work again; all else
    comes through the channel before: an instance of the version has worked properly there.
    """

    name = "released here"

    def check(self, instance: AgentInstance) -> Verdict:
        version, place = instance.version, instance.environment
        if instance.slot is not None:
            said = why_not_in(version, instance.slot)
            mend = instance.slot.get_absolute_url() if said else ""
            return Verdict(self.name, not said, said or f"{instance.slot} has {version}.", mend)
        if not place.production:
            return Verdict(self.name, True, f"{place} is not production.", applies=False)
        if instance.parent is not None and handed_down(instance.parent, version, place):
            said = f"{instance.parent}, which started it, works here on a genome that allows it."
            return Verdict(self.name, True, said)
        said = why_not_around(version, place)
        if said and _as_it_was(instance):
            why = "taken over as it ran" if instance.adopted else "at work here before"
            return Verdict(self.name, True, f"It was {why}, though {said[0].lower()}{said[1:]}")
        mend = f"{reverse('registry:slot_list')}?environment={place.slug}" if said else ""
        right = Right.PROMOTE_RELEASE.value if said else ""
        return Verdict(self.name, not said, said or f"{version} was released to {place}.", mend, right)


def through_slots(version: AgentVersion) -> bool:
    """Whether any version of this agent was ever bound to a slot, anywhere."""
    return SlotBinding.objects.filter(version__template=version.template_id).exists()


def why_not_around(version: AgentVersion, place: Environment) -> str:
    """Why the version does not work outside the slots of an environment, as a sentence; nothing where it may."""
    return why_not_around_all([version], place).get(version.pk, "")


def why_not_around_all(versions: Sequence[AgentVersion], place: Environment) -> dict[UUID, str]:
    """The same of many, by key, of those that do not: six statements at most, however many they are."""
    said = _why_not_through_all(versions, place)
    if not said:
        return {}
    let_in = _exceptions(place).filter(version__in=said).values_list("version", flat=True)
    return {key: why for key, why in said.items() if key not in set(let_in)}


AT_HOME: Final = frozenset(InstanceState) - {
    InstanceState.PROVISIONING,
    InstanceState.DRAINING,
    InstanceState.RETIRED,
}
"""States of an instance that was let work where it is and does not end."""


def handed_down(parent: AgentInstance, version: AgentVersion, place: Environment) -> bool:
    """Whether a child may have this version there because of its parent alone: it is the parent's own, where that was let
    work; or of another agent that is in no slot, as a fleet that was taken over there runs it. Nothing else is handed
    down: the channels are asked for what a genome merely names."""
    if parent.environment_id != place.pk or parent.state not in AT_HOME or not parent.has_worked():
        return False
    if version.pk == parent.version_id:
        return True
    there = AgentInstance.objects.filter(version=version, environment=place, adopted=True, state__in=AT_HOME)
    return there.exists() and not through_slots(version)


def why_no_child(parent: AgentInstance, version: AgentVersion, place: Environment) -> str:
    """Why a child of the version would not be let work there, as a sentence; nothing where it would."""
    if not place.production or handed_down(parent, version, place):
        return ""
    return why_not_around(version, place)


def letting_in(version: AgentVersion, place: Environment) -> list[ReleaseException]:
    """The exceptions that let the version into a slot there and are not used: while they last, beside the slots, too."""
    return list(_exceptions(place).filter(version=version).order_by("pk"))


def _exceptions(place: Environment) -> QuerySet[ReleaseException]:
    return ReleaseException.objects.unused().filter(gate=CHANNEL_ORDER, slot__environment=place)


def relied_on(instance: AgentInstance) -> list[ReleaseException]:
    """The exceptions without which the instance would not be let work where it is: outside slots, in production."""
    place, version = instance.environment, instance.version
    if instance.slot_id is not None or not place.production:
        return []
    if instance.parent is not None and handed_down(instance.parent, version, place):
        return []
    if not _why_not_through(version, place):
        return []
    return [] if _as_it_was(instance) else letting_in(version, place)


def open_to_adopt(rows: Sequence[AgentInstance]) -> set[tuple[UUID, UUID, UUID]]:
    """Which of these new instances outside the slots of production belong to a fleet that ran before ARM, by agent, place
    and version: no version of the agent was ever bound to a slot, and no other one has been activated there.

    So a fleet comes in whole, in one table or many; once it works, what is new to it comes through the channels.
    """
    if not rows:
        return set()
    agents = {row.template_id for row in rows}
    bound = SlotBinding.objects.filter(version__template__in=agents)
    released = set(bound.values_list("version__template", flat=True).distinct())
    begun = AgentInstance.objects.filter(
        template__in=agents - released, environment__in={row.environment_id for row in rows}
    ).exclude(state=InstanceState.PROVISIONING)
    worked: dict[tuple[UUID, UUID], set[UUID]] = {}
    for agent, place, version in (
        begun.order_by().values_list("template", "environment", "version").distinct()
    ):
        worked.setdefault((agent, place), set()).add(version)
    return {
        (row.template_id, row.environment_id, row.version_id)
        for row in rows
        if row.template_id not in released
        and row.version_id in worked.get((row.template_id, row.environment_id), {row.version_id})
    }


def _as_it_was(instance: AgentInstance) -> bool:
    """Whether the instance was there before the rule: taken over, or at work already, and its agent is in no slot yet."""
    return (instance.adopted or instance.has_worked()) and not through_slots(instance.version)


def _why_not_through(version: AgentVersion, place: Environment) -> str:
    """The same, whatever exceptions there are."""
    return _why_not_through_all([version], place).get(version.pk, "")


def _why_not_through_all(versions: Sequence[AgentVersion], place: Environment) -> dict[UUID, str]:
    here = DeploymentSlot.objects.filter(environment=place, current_version__in=versions)
    bound = set(here.order_by().values_list("current_version", flat=True))
    asked = [version for version in versions if version.pk not in bound]
    earlier = Environment.objects.filter(tenant=place.tenant_id, position__lt=place.position)
    before = earlier.order_by("-position").first() if asked else None
    if before is None:
        return {}
    agents = SlotBinding.objects.filter(version__template__in={version.template_id for version in asked})
    released = set(agents.order_by().values_list("version__template", flat=True).distinct())
    beside = [version for version in asked if version.template_id not in released]
    ran = _ran_well(beside, before) if beside else set()
    been: set[UUID] = set()
    if len(beside) < len(asked):
        proven = SlotBinding.objects.proven().filter(version__in=asked, slot__environment=before)
        been = set(proven.order_by().values_list("version", flat=True))
    found = {}
    for version in asked:
        if version.template_id not in released:
            if version.rolled_back or version.pk not in ran:
                found[version.pk] = (
                    f"No instance of {version} has worked properly in {before}, the channel before {place}."
                )
        elif version.rolled_back or version.pk not in been:
            found[version.pk] = (
                f"{version} is bound in no slot of {place}, and has not come through {before}, the channel before it."
            )
    return found


def _ran_well(versions: Sequence[AgentVersion], place: Environment) -> set[UUID]:
    """Those of which an instance was activated there and not quarantined since. What was told later does not count: nobody
    climbs by telling the past."""
    timely = InstanceInterval.objects.filter(known_from=F("since"))
    taken_back = timely.filter(
        instance=OuterRef("instance"), state=InstanceState.QUARANTINED, since__gte=OuterRef("since")
    )
    worked = timely.filter(version__in=versions, instance__environment=place, state=InstanceState.ACTIVE)
    return set(worked.exclude(Exists(taken_back)).order_by().values_list("version", flat=True).distinct())
