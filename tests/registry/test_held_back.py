"""What a rollout that stands still has found unhealthy here is no place to go back to: said before the click, not found after."""

import pytest

from arm.errors import Conflict
from registry import queries, services
from registry.models import Rollback
from tests import make
from tests.registry.releasing import Told, bound, running, started

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def plugged(settings, monkeypatch):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    settings.HEALTH_FACTS = ["tests.registry.releasing.Told"]
    monkeypatch.setattr(Told, "said", {"errors": True})


def found_bad(slot, version, rita):
    """The slot after its canary of the version was found unhealthy, and waits for somebody."""
    rollout = started(slot, version, rita, strategy="canary", percents=[50, 100], health_gates=["errors"])
    Told.said["errors"] = False
    assert services.advance_rollout(rollout_id=rollout.pk)
    slot.refresh_from_db()
    rollout.refresh_from_db()
    assert rollout.state == "paused" and rollout.incident_id
    return slot


def test_a_paused_canary_that_was_unhealthy_is_passed_by(tenant, rita, dan, old, new):
    oldest = make.approved(template=old.template)
    slot = bound(make.slot(environment=make.environment("prod")), oldest, old, new, actor=rita)
    running(slot, new, 2)
    slot = found_bad(slot, old, rita)
    shown = queries.rollback_preview(slot, dan)
    made = services.roll_back_slot(slot=slot, actor=dan, reason="Both lie")
    assert (shown.target, made.to_version) == (oldest, oldest)


def test_where_nothing_else_was_before_it_nothing_is_rolled_back(tenant, rita, dan, old, new):
    slot = bound(make.slot(environment=make.environment("prod")), old, new, actor=rita)
    running(slot, new, 2)
    slot = found_bad(slot, old, rita)
    assert queries.rollback_preview(slot, dan) is None
    with pytest.raises(Conflict, match="no previous version"):
        services.roll_back_slot(slot=slot, actor=dan, reason="Both lie")
    assert not Rollback.objects.exists()


def test_a_canary_that_stands_still_in_good_health_may_be_gone_back_to(tenant, rita, dan, old, new):
    slot = bound(make.slot(environment=make.environment("prod")), old, new, actor=rita)
    running(slot, new, 2)
    rollout = started(slot, old, rita, strategy="canary", percents=[50, 100])
    services.pause_rollout(rollout=rollout, actor=rita, reason="Lunch")
    slot.refresh_from_db()
    shown = queries.rollback_preview(slot, dan)
    assert shown.target == services.roll_back_slot(slot=slot, actor=dan, reason="It lies").to_version == old
