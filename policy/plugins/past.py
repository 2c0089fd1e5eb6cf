"""What policy says of a moment that has passed: the rules that held for an instance, and what was approved for it."""

from datetime import datetime

from arm.models import User
from arm.permissions import held_on, visible
from arm.rights import Right
from registry.models import AgentInstance, AgentVersion
from registry.sections import PastLine, PastSection

from ..models import ApprovalRequest
from ..queries.policies import bound_at
from ..queries.stops import stops_at

SHOWN = 20


class PolicyThen:
    """The policies with the exact version that was active, and the stops that stood. Both are decided here, so what had
    been told by a moment is what had happened by it."""

    def past(
        self, instance: AgentInstance, version: AgentVersion, at: datetime, known: datetime, actor: User
    ) -> PastSection | None:
        if Right.READ_POLICY not in held_on(actor, instance):
            return None
        then = min(at, known)
        lines = [
            PastLine(
                label=str(one.binding.policy),
                text=f"version {one.version.number}, on {one.binding.target}" if one.version else f"no active version, on {one.binding.target}",
                url=one.version.get_absolute_url() if one.version else "",
                since=one.binding.since,
            )
            for one in bound_at(instance, version.pk, then)
        ]  # fmt: skip
        lines += [
            PastLine(label=f"Stop: {stop.get_mode_display()}", text=f"on {stop.target}: {stop.reason}", url=stop.get_absolute_url(), since=stop.set_at)
            for stop in stops_at(instance, version.pk, then)
        ]  # fmt: skip
        return PastSection("Policy then", lines, "No policy held for it.")


class ApprovalsThen:
    """What had been approved for it and could still be used, and what it had used by then, the last first."""

    def past(
        self, instance: AgentInstance, version: AgentVersion, at: datetime, known: datetime, actor: User
    ) -> PastSection | None:
        if Right.READ_DECISIONS not in held_on(actor, instance):
            return None
        then = min(at, known)
        rows = ApprovalRequest.objects.for_list().filter(instance=instance).usable_at(then)
        lines = [
            PastLine(label=row.title, text=f"usable once, until {row.expires_at:%Y-%m-%d %H:%M} UTC", url=row.get_absolute_url(), since=row.decided_at)
            for row in visible(rows, actor, Right.READ_DECISIONS)[:SHOWN]
        ]  # fmt: skip
        used = (
            ApprovalRequest.objects.for_list()
            .filter(instance=instance)
            .used_by(then)
            .order_by("-closed_at", "-pk")
        )
        lines += [
            PastLine(label=row.title, text=f"used {row.closed_at:%Y-%m-%d %H:%M:%S} UTC", url=row.get_absolute_url(), since=row.decided_at)
            for row in visible(used, actor, Right.READ_DECISIONS)[:SHOWN]
        ]  # fmt: skip
        return PastSection("Approvals then", lines, "Nothing had been approved for it.")
