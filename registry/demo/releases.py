"""The demo's releases: what waits before production goes on, by each way there is."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from arm.demo import Demo
from registry import gates, services
from registry.engine import StepSays
from registry.lifecycle import VersionState
from registry.models import AgentVersion, DeploymentSlot, Rollout

DRIFT: Final = "Callers were told; the tools that went were not used in production."
PERCENTS: Final = (5, 25, 50, 100)
STEPS: Final = (
    StepSays(),
    StepSays(),
    StepSays(health_gates=("errors", "incidents", "cost"), limits={"errors": 2.0}),
    StepSays(bake_seconds=86_400, health_gates=("errors", "incidents", "manual"), limits={"errors": 1.0}),
)
"""The larger the share, the less may go wrong; the whole takes a day, and somebody's yes."""
HOURS: Final = timedelta(hours=1)
HALF: Final = timedelta(minutes=30)


def release(demo: Demo) -> None:
    """What waits before production goes on: by a canary that was held up for a while and is at its second step, by one that
    somebody has paused, slot after slot once a canary was aborted, by an exception, and by one that was rolled back."""
    slots = DeploymentSlot.objects.filter(environment__production=True).exclude(current_version=None)
    by_role: dict[str, list[DeploymentSlot]] = {}
    for slot in slots.select_related("environment", "role").order_by("role__slug", "pk"):
        by_role.setdefault(slot.role.slug, []).append(slot)
    waiting = [(role, held, newer) for role, held in by_role.items() if (newer := _newer(held[0]))]
    for role, held, version in waiting:
        WAYS[role](demo, held, version)
    for version in {version.pk: version for _, _, version in waiting}.values():
        _last_call(demo, version)


def _newer(slot: DeploymentSlot) -> AgentVersion | None:
    """What was approved after the version that the slot is bound to."""
    bound = slot.current_version
    assert bound is not None
    later = AgentVersion.objects.filter(
        template=bound.template_id, state=VersionState.APPROVED, number__gt=bound.number
    )
    return later.order_by("number").first()


def _begin(
    demo: Demo, slots: Sequence[DeploymentSlot], version: AgentVersion, strategy: str, ago: timedelta, **more: Any
) -> Rollout:  # fmt: skip
    """Begun so long ago."""
    carol = demo.people["carol"]
    with demo.at(demo.now - ago):
        rollout = services.plan_rollout(
            slots=slots, version=version, strategy=strategy, percents=PERCENTS,
            health_gates=["errors", "incidents"], actor=carol, reason="Fewer tools, tighter limits",
            steps=STEPS if strategy == "canary" else (), **more,
        )  # fmt: skip
        return services.start_rollout(
            rollout=rollout, actor=carol, reason="Agreed in the release meeting", acknowledged=DRIFT
        )


def _confirm(demo: Demo, rollout: Rollout, ago: timedelta) -> Rollout:
    """Its first step."""
    with demo.at(demo.now - ago):
        return services.confirm_step(
            rollout=rollout, step=1, actor=demo.people["carol"], reason="Answers were read and compared"
        )


def _rollout(
    demo: Demo, slots: Sequence[DeploymentSlot], version: AgentVersion, strategy: str, ago: timedelta, **more: Any
) -> Rollout:  # fmt: skip
    """Begun so long ago, its first step confirmed when that had baked."""
    bake = more.pop("bake", HOURS)
    rollout = _begin(demo, slots, version, strategy, ago, bake=bake, **more)
    return _confirm(demo, rollout, ago - bake - HALF)


def _canary(demo: Demo, slots: Sequence[DeploymentSlot], version: AgentVersion) -> None:
    """Its first step was paused while somebody else's network was mended, and baked again from then on."""
    carol = demo.people["carol"]
    rollout = _begin(demo, slots, version, "canary", 10 * HOURS, bake=8 * HOURS, drain="replaced")
    with demo.at(demo.now - 9 * HOURS - HALF):
        services.pause_rollout(
            rollout=rollout, actor=carol, reason="The network of the help desk is mended first"
        )
    with demo.at(demo.now - 9 * HOURS):
        services.resume_rollout(rollout=rollout, actor=carol, reason="The network is mended")
    _confirm(demo, rollout, HALF)


def _paused(demo: Demo, slots: Sequence[DeploymentSlot], version: AgentVersion) -> None:
    rollout = _rollout(demo, slots, version, "canary", 5 * HOURS, bake=4 * HOURS)
    with demo.at(demo.now - timedelta(minutes=20)):
        services.pause_rollout(
            rollout=rollout, actor=demo.people["carol"], reason="The books of the month are closed first; it goes on on Monday"
        )  # fmt: skip


def _phased(demo: Demo, slots: Sequence[DeploymentSlot], version: AgentVersion) -> None:
    """After a canary that was aborted before its first step had baked: who compares could not tell its answers apart."""
    tried = _begin(demo, slots, version, "canary", 12 * HOURS, bake=2 * HOURS)
    with demo.at(demo.now - 11 * HOURS):
        services.abort_rollout(
            rollout=tried, actor=demo.people["dan"], reason="The dashboard does not tell the canary's answers apart"
        )  # fmt: skip
    _rollout(demo, slots, version, "phased", 9 * HOURS, bake=8 * HOURS, batch_size=1)


def _by_exception(demo: Demo, slots: Sequence[DeploymentSlot], version: AgentVersion) -> None:
    """Staging was passed over, and somebody answers for it."""
    for slot in slots:
        with demo.at(demo.now - 6 * HOURS):
            services.grant_exception(
                slot=slot, version=version, gate=gates.CHANNEL_ORDER, until=demo.now + timedelta(days=2),
                actor=demo.people["erin"], reason="Staging is rebuilt this week; the same build ran there before",
            )  # fmt: skip
    _rollout(demo, slots, version, "all", 4 * HOURS)


def _and_back(demo: Demo, slots: Sequence[DeploymentSlot], version: AgentVersion) -> None:
    """It went everywhere, and back. Other channels bind it still, and are given time."""
    _rollout(demo, slots, version, "all", 3 * HOURS)
    with demo.at(demo.now - timedelta(minutes=50)):
        services.roll_back_slot(
            slot=slots[0],
            actor=demo.people["dan"],
            reason="It answers too slowly at noon",
            within=timedelta(hours=12),
        )  # what it leaves works on until it is replaced


def _last_call(demo: Demo, version: AgentVersion) -> None:
    """A version that is deprecated while slots still bind it gets a day by which they are rebound."""
    version = AgentVersion.objects.get(pk=version.pk)
    bound = DeploymentSlot.objects.filter(current_version=version).exists()
    if version.state == VersionState.DEPRECATED and bound:
        with demo.at(demo.now - timedelta(minutes=40)):
            services.set_rebind_date(
                version=version, by=demo.now + timedelta(days=5), actor=demo.people["carol"],
                reason="Staging needs it until the next build",
            )  # fmt: skip


WAYS: Final = {
    "bookkeeper": _paused,
    "engineer": _phased,
    "first-line": _canary,
    "researcher": _by_exception,
    "reviewer": _and_back,
}
"""By role."""
