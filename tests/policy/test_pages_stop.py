"""The stop pages: how far it reaches before the click, who may set what, and the way out of each mode."""

import pytest
from django.urls import reverse

from arm import ids
from arm.models import ChangeRecord
from arm.rights import Right
from policy import services
from policy.engine import Mode
from policy.models import ApprovalRequest, Posture, RestrictionRequest
from tests import make

pytestmark = pytest.mark.django_db
PREVIEW, CHOOSE = "policy:stop_preview", "policy:stop_choose"


@pytest.fixture
def prod(acme):
    return make.environment("prod", name="Production")


@pytest.fixture
def fleet(acme, prod):
    """Three agents in production, one in staging, one of them retired."""
    staging = make.environment("staging")
    make.instance(environment=staging)
    make.instance(environment=prod, state="retired")
    return [make.instance(environment=prod) for _ in range(3)]


def preview_url(scope, mode, **more):
    shown = getattr(scope, "typeid", "") or ids.encode("ten", scope.pk)
    return reverse(PREVIEW, query={"named": shown, "mode": mode} | more)


def stop(scope, mode, by):
    return services.set_posture(scope=scope, mode=mode, actor=by, reason="It repeats itself.")


def test_the_first_page_changes_nothing_and_leads_to_the_preview(client, people, prod, fleet):
    client.force_login(people["dan"])
    response = client.post(reverse(CHOOSE), {"scope": prod.typeid, "mode": "paused"})
    assert response.status_code == 302 and response.url.startswith(reverse(PREVIEW))
    assert not Posture.objects.exists()


def test_the_preview_says_how_far_it_reaches_by_provider_and_environment(client, people, prod, fleet):
    client.force_login(people["dan"])
    response = client.get(preview_url(prod, "quarantined"))
    shown = response.context["preview"]
    assert (shown.numbers["agents"], shown.numbers["providers"]) == (3, 3)
    assert {place.environment for place in shown.places} == {"Production"}
    assert not any(column.allowed for column in shown.columns)
    text = response.content.decode()
    assert "needs a second person" in text and "They may: judy" in text
    assert "Two approvers" in text and "voided" in text
    assert not Posture.objects.exists()


def test_every_number_of_the_reach_is_a_link_to_as_many_rows(client, acme, people, prod, fleet):
    client.force_login(people["dan"])
    agent = fleet[0]
    for scope in (acme, prod, agent.template, agent.version, agent.provider):
        context = client.get(preview_url(scope, "paused")).context
        numbers, links = context["preview"].numbers, context["links"]
        for name in ("agents", "active"):
            assert len(client.get(links[name]).context["object_list"]) == numbers[name], (scope, name)


def test_a_drain_denies_new_runs_and_lets_running_ones_finish(client, people, fleet):
    client.force_login(people["dan"])
    columns = client.get(preview_url(fleet[0].template, "draining")).context["preview"].columns
    assert [column.allowed for column in columns] == [False, True, True, True, True]


def test_confirming_stops_at_once_with_its_reason(client, people, fleet):
    client.force_login(people["dan"])
    template = fleet[0].template
    response = client.post(preview_url(template, "paused"), {"reason": "It repeats itself."})
    posture = Posture.objects.get()
    assert response.url == posture.get_absolute_url()
    assert (posture.template, posture.mode, posture.set_by) == (template, "paused", people["dan"])
    assert ChangeRecord.objects.get(verb="policy.posture.set").reason == "It repeats itself."


def test_another_mode_is_shown_with_its_reach_first_and_the_reason_stays(client, people, fleet):
    client.force_login(people["dan"])
    template = fleet[0].template
    body = {"mode": "draining", "reason": "It repeats itself."}
    page = client.post(preview_url(template, "quarantined"), body)
    text = page.content.decode()
    assert page.context["preview"].mode == Mode.DRAINING and "Drain 1 agent" in text
    assert "Nothing has happened yet" in text and "It repeats itself." in text
    assert not Posture.objects.exists()
    client.post(page.context["here"], body)
    assert Posture.objects.get().mode == Mode.DRAINING


def test_a_request_may_change_its_mode_as_well_and_keeps_what_was_typed(client, people, prod, fleet):
    client.force_login(people["dan"])
    body = {"mode": "draining", "reason": "A leak.", "reason_code": "data", "confirmation": "Production"}
    page = client.post(preview_url(prod, "quarantined"), body)
    form = page.context["form"]
    assert (form["reason"].value(), form["reason_code"].value()) == ("A leak.", "data")
    assert not RestrictionRequest.objects.exists()


def test_a_mode_that_does_not_exist_is_refused_and_nothing_is_stopped(client, people, fleet):
    client.force_login(people["dan"])
    page = client.post(preview_url(fleet[0].template, "paused"), {"mode": "asleep", "reason": "x"})
    assert page.status_code == 422 and page.context["form"].errors["mode"]
    assert not Posture.objects.exists()


def test_without_a_reason_nothing_is_stopped(client, people, fleet):
    client.force_login(people["dan"])
    assert client.post(preview_url(fleet[0].template, "paused"), {"reason": ""}).status_code == 422
    assert not Posture.objects.exists()


@pytest.mark.parametrize("typed", ["", "acme", "ACME"])
def test_asking_to_stop_a_whole_tenant_takes_its_name_typed(client, acme, people, fleet, typed):
    client.force_login(people["dan"])
    url, body = preview_url(acme, "paused"), {"reason": "Breach", "reason_code": "security"}
    client.post(url, body | {"confirmation": typed})
    assert not RestrictionRequest.objects.exists()
    client.post(url, body | {"confirmation": str(acme)})
    assert RestrictionRequest.objects.get().whole_tenant and not Posture.objects.exists()


def test_the_same_stop_twice_is_told_with_a_link_to_the_first(client, people, fleet):
    template = fleet[0].template
    first = stop(template, Mode.PAUSED, people["dan"])
    client.force_login(people["dan"])
    assert client.get(preview_url(template, "paused")).context["preview"].already == first
    response = client.post(preview_url(template, "paused"), {"reason": "again"})
    assert response.status_code == 409 and first.get_absolute_url() in response.content.decode()


def test_a_quarantine_with_an_end_by_time_is_refused_by_the_service(client, people, fleet):
    client.force_login(people["dan"])
    url = preview_url(fleet[0].template, "quarantined", until="2099-01-01T00:00")
    response = client.post(url, {"reason": "x"})
    assert response.status_code == 422 and "/until" in response.content.decode()


def test_one_click_stops_what_is_not_production(client, people, fleet):
    client.force_login(people["dan"])
    text = client.get(preview_url(fleet[0].template, "quarantined")).content.decode()
    assert "Quarantine 1 agent<" in text and "second person" not in text


@pytest.mark.parametrize("name", ["vera", "alice"])
def test_who_may_not_restrict_sees_no_button_and_gets_403(client, people, fleet, name):
    client.force_login(people[name])
    assert reverse(CHOOSE) not in client.get(reverse("policy:stop_list")).content.decode()
    assert client.get(reverse(CHOOSE)).status_code == 403
    assert client.post(preview_url(fleet[0], "paused"), {"reason": "x"}).status_code == 403
    assert not Posture.objects.exists()


def test_a_right_on_one_environment_offers_that_environment_only(client, acme, prod, fleet):
    oscar = make.user("oscar", member_of=acme)
    make.grant(oscar, prod, Right.READ_DIRECTORY, Right.READ_POLICY, Right.RESTRICT_WIDELY)
    client.force_login(oscar)
    offered = dict(client.get(reverse(CHOOSE)).context["form"].fields["scope"].choices[1:])
    assert list(offered) == ["Environments"] and offered["Environments"] == [(prod.typeid, "Production")]
    response = client.get(preview_url(acme, "paused"))
    assert response.status_code == 302 and response.url.startswith(reverse(CHOOSE))


def test_one_operator_lifts_a_pause(client, people, fleet):
    posture = stop(fleet[0].template, Mode.PAUSED, people["dan"])
    client.force_login(people["dan"])
    assert client.get(posture.get_absolute_url()).context["lift"].may_lift
    client.post(reverse("policy:stop_lift", args=[posture.typeid]), {"reason": "Mended."})
    assert not Posture.objects.in_force().exists()


def test_read_only_is_lifted_by_an_approver_and_not_by_the_operator(client, people, fleet):
    posture = stop(fleet[0].template, Mode.READ_ONLY, people["dan"])
    client.force_login(people["dan"])
    page = client.get(posture.get_absolute_url())
    assert not page.context["lift"].may_lift and page.context["lift"].may_ask
    assert "erin, frank" in page.content.decode()
    refused = client.post(reverse("policy:stop_lift", args=[posture.typeid]), {"reason": "Mended."})
    assert refused.status_code == 409 and "1 approver" in refused.content.decode()
    client.force_login(people["erin"])
    assert client.get(posture.get_absolute_url()).context["lift"].may_lift
    client.post(reverse("policy:stop_lift", args=[posture.typeid]), {"reason": "Looked at it."})
    assert not Posture.objects.in_force().exists()


def test_a_quarantine_needs_two_approvers_who_took_no_part(client, people, fleet):
    posture = stop(fleet[0].template, Mode.QUARANTINED, people["dan"])
    client.force_login(people["dan"])
    asked = client.post(reverse("policy:stop_ask", args=[posture.typeid]), {"reason": "Mended."})
    request = ApprovalRequest.objects.get()
    assert asked.url == request.get_absolute_url() and request.quorum == 2
    client.force_login(people["erin"])
    body = {"digest": request.digest, "reason": "Reviewed.", "answer": "approve"}
    client.post(request.get_absolute_url(), body)
    lift = reverse("policy:stop_lift", args=[posture.typeid])
    page = client.get(posture.get_absolute_url()).context["lift"]
    assert (page.have, page.needs, page.may_lift) == (1, 2, False)
    assert client.post(lift, {"reason": "One is not two."}).status_code == 409
    client.force_login(people["frank"])
    assert client.get(posture.get_absolute_url()).context["lift"].may_lift
    client.post(lift, {"reason": "Reviewed too."})
    assert not Posture.objects.in_force().exists()


def test_a_killed_agent_has_no_way_out_on_its_page(client, people, fleet):
    posture = stop(fleet[0], Mode.KILLED, people["dan"])
    client.force_login(people["erin"])
    page = client.get(posture.get_absolute_url())
    assert not page.context["lift"].may_lift and not page.context["lift"].may_ask
    assert "Nobody can lift it." in page.content.decode()
    assert client.post(reverse("policy:stop_lift", args=[posture.typeid]), {"reason": "x"}).status_code == 403


def test_a_viewer_sees_what_stands_and_no_way_to_change_it(client, people, fleet):
    posture = stop(fleet[0].template, Mode.PAUSED, people["dan"])
    client.force_login(people["vera"])
    text = client.get(posture.get_absolute_url()).content.decode()
    assert reverse("policy:stop_lift", args=[posture.typeid]) not in text
    assert "They may lift it: dan" in text
    assert client.get(reverse("policy:stop_lift", args=[posture.typeid])).status_code == 403


def test_a_lifted_stop_moves_to_history(client, people, fleet):
    posture = stop(fleet[0].template, Mode.PAUSED, people["dan"])
    services.lift_posture(posture=posture, actor=people["dan"], reason="Mended.")
    client.force_login(people["vera"])
    assert not client.get(reverse("policy:stop_list")).context["object_list"]
    assert list(client.get(reverse("policy:stop_history")).context["object_list"]) == [posture]


def test_a_stranger_finds_no_stop(client, people, fleet):
    posture = stop(fleet[0].template, Mode.PAUSED, people["dan"])
    other = make.tenant("other")
    mallory = make.everything(make.user("mallory", member_of=other), other)
    client.force_login(mallory)
    for name in ("posture_detail", "stop_lift", "stop_ask"):
        url = reverse(f"policy:{name}", args=[posture.typeid])
        assert client.get(url).status_code == 404
        assert client.post(url, {"reason": "x"}).status_code in (404, 405)
    assert client.get(preview_url(fleet[0], "paused")).status_code == 302
    assert not client.get(reverse("policy:stop_history")).context["object_list"]


@pytest.mark.parametrize("name", ["stop_list", "stop_history"])
def test_a_list_of_stops_costs_few_queries(client, people, fleet, name, django_assert_max_num_queries):
    for agent in fleet:
        stop(agent.template, Mode.PAUSED, people["dan"])
        stop(agent, Mode.READ_ONLY, people["dan"])
    client.force_login(people["vera"])
    with django_assert_max_num_queries(15):
        assert len(client.get(reverse(f"policy:{name}")).context["object_list"]) == 6
