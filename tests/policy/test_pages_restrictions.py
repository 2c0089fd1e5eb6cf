"""Requests for a stop on their pages: seen by whom they concern, with the reach before every click."""

from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock, ids
from arm.rights import Right
from policy import services
from policy.engine import Mode
from policy.models import Posture, RestrictionRequest
from telemetry.models import Incident
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod(acme):
    place = make.environment("prod", name="Production")
    make.instance(environment=place)
    make.instance(environment=place)
    return place


def asked(by, scope, mode=Mode.PAUSED):
    return services.request_restriction(
        scope=scope, mode=mode, actor=by, reason_code="cost", reason="It buys adverts."
    )


def page(client, person, name, *rows, **query):
    client.force_login(person)
    return client.get(reverse(f"policy:{name}", args=[row.typeid for row in rows], query=query))


def preview_url(scope, mode="paused"):
    shown = getattr(scope, "typeid", "") or ids.encode("ten", scope.pk)
    return reverse("policy:stop_preview", query={"named": shown, "mode": mode})


def test_the_first_of_two_sees_the_reach_asks_and_lands_on_the_request(client, people, prod):
    client.force_login(people["dan"])
    text = client.get(preview_url(prod)).content.decode()
    assert "This needs a second person" in text and "They may: judy" in text
    body = {"reason": "It buys adverts.", "reason_code": "cost", "confirmation": "Production"}
    response = client.post(preview_url(prod), body)
    request = RestrictionRequest.objects.get()
    assert response.url == request.get_absolute_url() and not Posture.objects.exists()
    text = client.get(response.url).content.decode()
    assert "1 of them wants it" in text and "You asked for it" in text and "judy" in text
    assert reverse("policy:restriction_confirm", args=[request.typeid]) not in text
    assert reverse("policy:restriction_withdraw", args=[request.typeid]) in text


def test_an_analyst_is_offered_to_ask_and_not_to_stop(client, people, prod):
    client.force_login(people["grace"])
    listed = client.get(reverse("policy:stop_list")).content.decode()
    assert "Request a stop" in listed and "Stop something" not in listed
    template = prod_template(prod)
    text = client.get(preview_url(template)).content.decode()
    assert "You ask, others stop" in text and "They may: dan, judy" in text
    client.post(preview_url(template), {"reason": "It buys adverts.", "reason_code": "cost"})
    assert RestrictionRequest.objects.get().target == template and not Posture.objects.exists()


def prod_template(prod):
    from_prod = make.instance(environment=prod)
    return from_prod.template


def test_an_approver_is_offered_one_agent_to_ask_about_and_nothing_wider(client, people, prod):
    client.force_login(people["erin"])
    form = client.get(reverse("policy:stop_choose")).context["form"]
    assert [label for label, _ in form.fields["scope"].choices] == [""]
    assert client.get(preview_url(make.instance())).status_code == 200
    assert client.get(preview_url(prod)).status_code == 302


def test_the_second_person_sees_the_reach_types_the_name_and_stops(client, people, prod):
    request = asked(people["dan"], prod, Mode.QUARANTINED)
    response = page(client, people["judy"], "restriction_confirm", request)
    text = response.content.decode()
    assert response.context["preview"].numbers["agents"] == 2 and "Quarantine 2 agents" in text
    assert "dan asked" in text and "It buys adverts." in text and "What cannot be undone" in text
    url = reverse("policy:restriction_confirm", args=[request.typeid])
    client.post(url, {"digest": request.digest, "confirmation": "production"})
    assert not Posture.objects.exists()
    client.post(url, {"digest": request.digest, "confirmation": "Production"})
    assert Posture.objects.get().target == prod
    text = client.get(request.get_absolute_url()).content.decode()
    assert Posture.objects.get().get_absolute_url() in text


def test_who_asked_is_refused_with_the_names_of_those_who_may(client, people, prod):
    request = asked(people["dan"], prod)
    client.force_login(people["dan"])
    url = reverse("policy:restriction_confirm", args=[request.typeid])
    response = client.post(url, {"digest": request.digest, "confirmation": "Production"})
    assert response.status_code == 403 and "judy" in response.content.decode()
    assert not Posture.objects.exists()


@pytest.mark.parametrize("name", ["grace", "erin", "vera", "alice"])
def test_who_may_not_stop_it_gets_no_button_and_403(client, people, prod, name):
    request = asked(people["dan"], prod)
    text = page(client, people[name], "restriction_detail", request).content.decode()
    for verb in ("confirm", "decline", "withdraw"):
        url = reverse(f"policy:restriction_{verb}", args=[request.typeid])
        assert url not in text
        assert client.post(url, {"digest": request.digest, "reason": "x"}).status_code == 403
    assert not Posture.objects.exists()


def test_what_was_seen_before_a_change_is_not_confirmed(client, people, prod):
    request = asked(people["dan"], prod)
    client.force_login(people["judy"])
    url = reverse("policy:restriction_confirm", args=[request.typeid])
    body = {"digest": "sha256:" + "0" * 64, "confirmation": "Production"}
    assert client.post(url, body).status_code == 409
    assert not Posture.objects.exists()


def test_it_is_declined_with_a_reason_and_taken_back_by_who_asked(client, people, prod, acme):
    declined, taken_back = asked(people["dan"], prod), asked(people["grace"], acme)
    client.force_login(people["judy"])
    client.post(reverse("policy:restriction_decline", args=[declined.typeid]), {"reason": "My drill"})
    client.force_login(people["grace"])
    client.post(reverse("policy:restriction_withdraw", args=[taken_back.typeid]), {"reason": "I erred"})
    states = dict(RestrictionRequest.objects.values_list("pk", "state"))
    assert states == {declined.pk: "declined", taken_back.pk: "withdrawn"}


def test_what_waits_is_on_the_stop_page_and_on_home_until_its_time_is_over(client, people, prod):
    request = asked(people["grace"], prod)
    for url in (reverse("policy:stop_list"), reverse("home")):
        client.force_login(people["vera"])
        assert request.get_absolute_url() in client.get(url).content.decode()
        with clock.at(clock.now() + timedelta(minutes=16)):
            assert request.get_absolute_url() not in client.get(url).content.decode()


def test_what_has_expired_says_so_before_anything_has_written_it(client, people, prod):
    request = asked(people["grace"], prod)
    with clock.at(clock.now() + timedelta(minutes=16)):
        text = page(client, people["judy"], "restriction_detail", request).content.decode()
        assert "Nobody confirmed it" in text
        assert reverse("policy:restriction_confirm", args=[request.typeid]) not in text
        for state, count in (("expired", 1), ("requested", 0)):
            listed = page(client, people["judy"], "restriction_list", state=state)
            assert len(listed.context["object_list"]) == count


def test_an_expired_request_leads_to_its_incident(client, people, prod, acme):
    request = asked(people["grace"], prod)
    with clock.at(clock.now() + timedelta(minutes=16)):
        assert services.expire_restrictions(tenant_id=acme.pk) == 1
    incident = Incident.objects.get().get_absolute_url()
    text = page(client, people["judy"], "restriction_detail", request).content.decode()
    assert f'On call was told by <a href="{incident}">an incident</a>' in text
    make.grant(ned := make.user("ned", member_of=acme), acme, Right.READ_POLICY)
    assert incident not in page(client, ned, "restriction_detail", request).content.decode()


def test_a_stranger_finds_nothing(client, people, prod):
    request = asked(people["dan"], prod)
    other = make.tenant("other")
    mallory = make.everything(make.user("mallory", member_of=other), other)
    for name in ("restriction_detail", "restriction_confirm", "restriction_decline", "restriction_withdraw"):
        assert page(client, mallory, name, request).status_code == 404
        url = reverse(f"policy:{name}", args=[request.typeid])
        assert client.post(url, {"digest": request.digest}).status_code in (404, 405)
    assert not page(client, mallory, "restriction_list").context["object_list"]
    assert request.get_absolute_url() not in page(client, mallory, "stop_list").content.decode()


@pytest.mark.parametrize("name", ["stop_list", "restriction_list"])
def test_the_lists_cost_few_queries(client, people, acme, prod, name, django_assert_max_num_queries):
    for scope in (acme, prod, prod_template(prod), prod_template(prod)):
        for mode in (Mode.PAUSED, Mode.DRAINING):
            asked(people["grace"], scope, mode)
    client.force_login(people["vera"])
    with django_assert_max_num_queries(16):
        assert client.get(reverse(f"policy:{name}")).status_code == 200
