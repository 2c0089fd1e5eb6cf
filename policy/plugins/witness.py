"""What policy saw of an instance: the refusals, the questions to people, and the stops that reached it."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from django.db.models import Q, QuerySet
from django.urls import reverse

from arm.models import User
from arm.permissions import visible
from arm.ports import Moment
from arm.rights import Right
from registry.models import AgentInstance

from ..engine import Effect
from ..models import Decision, Posture
from ..queries import stops
from ..queries.decisions import first_key_at

LOOKED_AT = 2000
"""Decisions looked through for the ones worth telling: an agent may ask a thousand times a minute."""


class DecisionsSeen:
    """`arm.ports.Witness` of policy."""

    def saw(
        self, actor: User, instance: AgentInstance, since: datetime, until: datetime, most: int
    ) -> Iterable[Moment]:
        yield from _decisions(actor, instance, since, until, most)
        yield from _stops(actor, instance, since, until, most)


def _decisions(
    actor: User, instance: AgentInstance, since: datetime, until: datetime, most: int
) -> Iterator[Moment]:
    rows = visible(Decision.objects.filter(instance_id=instance.pk), actor, Right.READ_DECISIONS)
    rows = rows.filter(pk__gte=first_key_at(since), pk__lt=first_key_at(until)).order_by("-pk")
    answers = rows.values_list("pk", "decision")[:LOOKED_AT]
    told = [key for key, answer in answers if answer != Effect.ALLOW][:most]
    for row in rows.filter(pk__in=told) if told else ():
        effect = Effect(row.decision)
        what = row.tool or row.get_action_display()
        title = f"Asked a person about {what}" if effect is Effect.APPROVE else f"Denied: {what}"
        text = f"Job {row.job}" if row.job else ""
        url = reverse("policy:decision_detail", args=[row.typeid])
        yield Moment(row.at, title, str(instance), text, url, effect.word)


def _stops(
    actor: User, instance: AgentInstance, since: datetime, until: datetime, most: int
) -> Iterator[Moment]:
    above = (
        Q(instance=instance)
        | Q(template=instance.template_id)
        | Q(version=instance.version_id)
        | Q(environment=instance.environment_id)
        | Q(provider=instance.provider_id)
        | Q(whole_tenant=True)
    )
    if instance.slot_id:
        above |= Q(slot=instance.slot_id)
    seen: QuerySet[Posture] = visible(Posture.objects.filter(above), actor, Right.READ_POLICY)
    within = Q(set_at__gte=since, set_at__lt=until) | Q(lifted_at__gte=since, lifted_at__lt=until)
    for row in stops.with_scope(seen.filter(within)).order_by("-set_at")[:most]:
        if since <= row.set_at < until:
            who = str(row.set_by or "ARM")
            yield Moment(row.set_at, f"Stop: {row}", who, row.reason, row.get_absolute_url(), row.mode)
        if row.lifted_at is not None and since <= row.lifted_at < until:
            who = str(row.lifted_by or "ARM")
            yield Moment(
                row.lifted_at, f"Lifted: {row}", who, row.lift_reason, row.get_absolute_url(), "active"
            )
