"""The pages of releases: what they show, what their buttons do, to whom they are closed."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock
from arm.rights import Right
from registry import services
from registry.gates import CHANNEL_ORDER
from registry.models import ReleaseException, Rollback, Rollout
from tests import make
from tests.registry.genomes import tool
from tests.registry.releasing import bound, planned, running, shown, started

pytestmark = pytest.mark.django_db


@pytest.fixture
def rita(tenant, client, settings):
    settings.BINDING_GATES = ["registry.gates.VersionMayBeBound", "registry.plugins.ChannelOrder"]
    user = make.hired("rita", "release_manager", tenant)
    client.force_login(user)
    return user


@pytest.fixture
def slot(rita, old):
    place = make.environment("prod", name="Production")
    return bound(make.slot(environment=place, role=make.role("clerk", name="Clerk")), old, actor=rita)


def url(name, row=None):
    return reverse(f"registry:{name}", args=[row.typeid] if row else [])


def text(client, address):
    answer = client.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def post(client, name, row, **body):
    return client.post(url(name, row), {"reason": "go", **body})


def test_the_board_shows_each_channel_in_its_order_with_what_is_bound(client, rita, slot, old, new):
    started(slot, new, rita, strategy="canary", percents=[5, 100])
    make.slot(environment=make.environment("staging", name="Staging", position=0), role=slot.role)
    page = text(client, url("channel_board"))
    assert page.index("Staging") < page.index("Production")
    assert str(old) in page and f"{new}, 5 %" in page and "empty" in page


def test_a_rollout_is_planned_from_its_slot_started_and_confirmed(client, rita, slot, old, new):
    running(slot, old, 4)
    assert url("rollout_plan", slot) in text(client, slot.get_absolute_url())
    form = text(client, url("rollout_plan", slot))
    assert "Calls that fail" in form and "5, 25, 50, 100" in form
    made = post(
        client, "rollout_plan", slot, slots=[str(slot.pk)], version=new.typeid, strategy="canary",
        percents="50, 100", bake=0, batch_size=1, reaction="pause",
    )  # fmt: skip
    rollout = Rollout.objects.get()
    assert made["Location"] == rollout.get_absolute_url()
    page = text(client, rollout.get_absolute_url())
    assert url("rollout_start", rollout) in page and "channel order" in page
    assert "Instances there now" in text(client, url("rollout_start", rollout))
    assert post(client, "rollout_start", rollout).status_code == 302
    page = text(client, rollout.get_absolute_url())
    assert url("rollout_confirm", rollout) in page and url("rollout_pause", rollout) in page
    assert url("slot_bind", slot) not in text(client, slot.get_absolute_url()), "the rollout holds it"
    for step in (1, 2):
        assert post(client, "rollout_confirm", rollout, step=step).status_code == 302
    rollout.refresh_from_db()
    assert rollout.state == "completed"
    assert url("rollout_abort", rollout) not in text(client, rollout.get_absolute_url())


def test_pause_resume_and_abort_have_their_buttons(client, rita, slot, old, new):
    rollout = started(slot, new, rita, strategy="canary", percents=[50, 100])
    for verb, state in (("pause", "paused"), ("resume", "running"), ("abort", "aborted")):
        assert url(f"rollout_{verb}", rollout) in text(client, rollout.get_absolute_url())
        assert post(client, f"rollout_{verb}", rollout).status_code == 302
        rollout.refresh_from_db()
        assert rollout.state == state
    assert "Aborted" in text(client, url("rollout_list"))


def test_a_start_that_would_break_something_says_so_and_takes_a_reason(client, rita, slot, old):
    search = {**tool("search"), "risk": "RED"}
    genome = make.genome(template=old.template, members={"tools": [search]})
    rollout = planned(slot, make.approved(template=old.template, genome=genome), rita)
    assert "breaking" in text(client, rollout.get_absolute_url())
    refused = post(client, "rollout_start", rollout)
    assert refused.status_code == 409 and b"rises from GREEN to RED" in refused.content
    assert post(client, "rollout_start", rollout, acknowledged="It pays now").status_code == 302


def test_a_rollback_shows_its_reach_and_is_one_click(client, rita, slot, old, new):
    other = bound(make.slot(environment=slot.environment, role=slot.role), old, new, actor=rita)
    bound(slot, new, actor=rita)
    running(slot, new, 3)
    assert url("slot_roll_back", slot) in text(client, slot.get_absolute_url())
    page = text(client, url("slot_roll_back", slot))
    assert "as they are replaced, or at once" in page and "cannot be undone" in page and str(other) in page
    done = post(client, "slot_roll_back", slot, **shown(page), also=[str(other.pk)])
    assert done.status_code == 302, done.content
    made = Rollback.objects.get(slot=slot)
    assert done["Location"] == made.get_absolute_url()
    other.refresh_from_db()
    assert other.current_version == old
    page = text(client, made.get_absolute_url())
    assert "arm.rollback/v1" in page and str(new) in page
    assert made.get_absolute_url() in text(client, slot.get_absolute_url())
    assert client.get(url("slot_roll_back", slot)).status_code == 404, "nothing is left to go back to"


def test_a_preview_tells_of_rollouts_of_the_version_elsewhere(client, rita, slot, old, new):
    bound(slot, new, actor=rita)
    other = bound(make.slot(environment=slot.environment, role=slot.role), old, actor=rita)
    assert "elsewhere" not in text(client, url("slot_roll_back", slot))
    started(other, new, rita, strategy="canary", percents=[5, 100])
    assert "1 rollout of" in text(client, url("slot_roll_back", slot))


def test_what_was_rebound_since_the_page_was_opened_is_not_rolled_back(client, rita, slot, old, new):
    page = text(client, url("slot_roll_back", bound(slot, new, actor=rita)))
    bound(slot, make.approved(), actor=rita)
    answer = post(client, "slot_roll_back", slot, **shown(page))
    assert answer.status_code == 409 and b"by now" in answer.content
    assert not Rollback.objects.exists()


def test_an_approver_grants_an_exception_that_the_slot_shows(client, rita, slot, new, tenant):
    assert client.get(url("exception_grant", slot)).status_code == 403
    client.force_login(make.hired("erin", "approver", tenant))
    until = (clock.now() + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    body = {"version": new.typeid, "gate": CHANNEL_ORDER, "until": until}
    assert post(client, "exception_grant", slot, **body).status_code == 302
    assert ReleaseException.objects.get().version == new
    page = text(client, slot.get_absolute_url())
    assert "channel order" in page and "not yet" in page
    assert "channel order" in text(client, new.get_absolute_url())


@pytest.mark.parametrize(
    "name", ["rollout_start", "rollout_pause", "rollout_resume", "rollout_abort", "rollout_confirm"]
)
def test_a_viewer_sees_a_rollout_and_no_button(client, rita, slot, new, tenant, name):
    rollout = planned(slot, new, rita)
    client.force_login(make.hired("vera", "viewer", tenant))
    page = text(client, rollout.get_absolute_url())
    assert "button-primary" not in page and "button-danger" not in page
    assert client.get(url(name, rollout)).status_code == post(client, name, rollout).status_code == 403


def test_the_rollouts_part_renews_itself(client, rita, slot, new):
    rollout = started(slot, new, rita, strategy="canary", percents=[5, 100])
    part = client.get(rollout.get_absolute_url(), headers={"HX-Request": "true"}).content.decode()
    assert "Health of each step" in part and "<html" not in part


def test_slots_of_a_rollout_that_differ_by_provider_alone_are_told_apart(client, rita, slot, old, new):
    cloud = make.provider("cloud", name="Northwind Cloud")
    other = make.slot(environment=slot.environment, role=slot.role, provider=cloud)
    page = text(client, planned([slot, other], new, rita).get_absolute_url())
    assert f'<td data-label="Provider">{slot.provider}</td>' in page
    assert (
        '<td data-label="Provider">Northwind Cloud</td>' in page and f"{other} at Northwind Cloud: " in page
    )


def test_a_rollout_that_stands_otherwise_than_its_page_says_is_fetched_whole(client, rita, slot, new):
    rollout = started(slot, new, rita, strategy="canary", percents=[5, 100])
    (address,) = re.findall(r'hx-get="([^"]*seen=[^"]*)"', text(client, rollout.get_absolute_url()))
    part = {"HX-Request": "true"}
    assert "HX-Refresh" not in client.get(address, headers=part)
    services.pause_rollout(rollout=rollout, actor=rita, reason="wait")
    assert client.get(address, headers=part)["HX-Refresh"] == "true", "its buttons are others"


def test_looking_costs_the_same_however_many_slots(
    client, rita, slot, old, new, django_assert_max_num_queries
):
    for _ in range(6):
        bound(make.slot(environment=slot.environment, role=slot.role), old, actor=rita)
    with django_assert_max_num_queries(17):  # where she may release, too
        text(client, url("channel_board"))
    services.abort_rollout(rollout=planned(slot, new, rita), actor=rita, reason="x")


def test_channels_are_paged_and_searched_by_role_however_many_there_are(client, rita):
    for number in range(60):
        make.slot(role=make.role(f"job-{number:02}"))
    first = client.get(url("channel_board"))
    assert len(first.context["rows"]) == 50 and first.context["paginator"].count == 60
    text = client.get(url("channel_board"), {"q": "job-07"})
    assert [role.slug for role, _ in text.context["rows"]] == ["job-07"]


def test_who_sees_one_environment_sees_its_slots_and_their_roles_alone(client, rita):
    here, there = make.slot(role=make.role("here")), make.slot(role=make.role("there"))
    bob = make.user("bob", member_of=here.tenant)
    make.grant(bob, here.environment, Right.READ_DIRECTORY)
    client.force_login(bob)
    page = client.get(url("channel_board"))
    assert [role.slug for role, _ in page.context["rows"]] == ["here"]
    assert there.environment not in page.context["channels"]


def test_a_slot_says_what_a_plain_binding_left_behind(client, rita, slot, old, new):
    running(slot, old, 2)
    assert "no new runs" not in text(client, url("slot_detail", slot))
    assert "finish their runs and start none" in text(client, url("slot_bind", slot))
    bound(slot, new, actor=rita)
    assert "instances of a version that this slot is not bound to" in text(client, url("slot_detail", slot))
    assert client.get(url("slot_detail", slot)).context["page"].astray == 2
