"""Whether an instance stands where its version was released to: nobody goes around the channels by provisioning (ADR 55)."""

from django.urls import reverse

from arm.rights import Right

from ..models import (
    AgentInstance,
    AgentVersion,
    DeploymentSlot,
    Environment,
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

    Not asked outside slots: what another instance started (the genome of that one allows it), and an agent that was
    never released through a slot, as a fleet is that was there before ARM.
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
        if instance.parent_id is not None:
            return Verdict(
                self.name, True, "Another instance started it, as its genome allows.", applies=False
            )
        if not SlotBinding.objects.filter(version__template=instance.template_id).exists():
            said = f"No version of {instance.template} was ever released through a slot."
            return Verdict(self.name, True, said, applies=False)
        said = why_not_around(version, place)
        mend = f"{reverse('registry:slot_list')}?environment={place.slug}" if said else ""
        right = Right.PROMOTE_RELEASE.value if said else ""
        return Verdict(self.name, not said, said or f"{version} was released to {place}.", mend, right)


def why_not_around(version: AgentVersion, place: Environment) -> str:
    """Why the version does not work outside the slots of an environment, as a sentence; nothing where it may."""
    slots = DeploymentSlot.objects.filter(environment=place)
    if slots.filter(current_version=version).exists():
        return ""
    granted = ReleaseException.objects.unused().filter(gate=CHANNEL_ORDER, slot__in=slots, version=version)
    if granted.exists():
        return ""
    earlier = Environment.objects.filter(tenant=place.tenant_id, position__lt=place.position)
    before = earlier.order_by("-position").first()
    if before is None:
        return ""
    been = SlotBinding.objects.proven().filter(version=version, slot__environment=before)
    if been.exists() and not version.rolled_back:
        return ""
    return (
        f"{version} is bound in no slot of {place}, and has not come through {before}, the channel before it."
    )
