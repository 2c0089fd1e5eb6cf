"""The demo's releases: what waits before production goes on, by each way there is."""

from datetime import timedelta

from arm.demo import Demo
from registry import gates, services
from registry.lifecycle import VersionState
from registry.models import AgentVersion, DeploymentSlot


def release(demo: Demo) -> None:
    """What waits before production goes on, by each way there is: at once, by a canary that is at its second step, by
    an exception, and one that was rolled back."""
    prod = DeploymentSlot.objects.filter(environment__production=True).exclude(current_version=None)
    carol, erin, dan = (demo.people[name] for name in ("carol", "erin", "dan"))
    drift = "Callers were told; the tools that went were not used in production."
    for slot in prod.select_related("environment", "role").order_by("role__slug"):
        assert slot.current_version is not None
        newer = AgentVersion.objects.filter(
            template=slot.current_version.template_id, state=VersionState.APPROVED, number__gt=slot.current_version.number
        ).order_by("number").first()  # fmt: skip
        if newer is None:
            continue
        canary = slot.role.slug == "first-line"
        if slot.role.slug == "researcher":
            with demo.at(demo.now - timedelta(hours=5)):
                services.grant_exception(
                    slot=slot, version=newer, gate=gates.CHANNEL_ORDER, until=demo.now + timedelta(days=2), actor=erin,
                    reason="Staging is rebuilt this week; the same build ran there before",
                )  # fmt: skip
        with demo.at(demo.now - timedelta(hours=3)):
            rollout = services.plan_rollout(
                slots=[slot], version=newer, strategy="canary" if canary else "all", percents=[5, 25, 50, 100],
                bake=timedelta(hours=1), health_gates=["errors", "incidents"], actor=carol, reason="Fewer tools, tighter limits",
                drain="replaced" if canary else "at_once",
            )  # fmt: skip
            services.start_rollout(
                rollout=rollout, actor=carol, reason="Agreed in the release meeting", acknowledged=drift
            )
        with demo.at(demo.now - timedelta(minutes=90)):
            services.confirm_step(rollout=rollout, actor=carol, reason="Answers were read and compared")
        if slot.role.slug == "reviewer":
            with demo.at(demo.now - timedelta(minutes=50)):
                services.roll_back_slot(
                    slot=slot, actor=dan, reason="It answers too slowly at noon", within=timedelta(hours=12)
                )  # what it leaves works on until it is replaced
