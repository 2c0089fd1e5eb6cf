"""Policy's parts of the home page and of the pages of instances and versions."""

import pytest
from django.urls import reverse

from policy import services
from policy.engine import Mode
from tests import make
from tests.policy.people import CAST, hire

pytestmark = pytest.mark.django_db


@pytest.fixture
def people():
    return hire(make.tenant("acme"), **CAST)


@pytest.fixture
def instance(people):
    row = make.instance(name="payer-1")
    make.bound(row.template)
    return row


def page(client, person, url):
    client.force_login(person)
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def panel(client, person, url, anchor):
    text = page(client, person, url)
    _, found, rest = text.partition(f'id="{anchor}"')
    assert found, f"there is no panel {anchor}"
    return rest.partition("</section>")[0]


def test_the_instance_page_says_which_scope_takes_away_what(client, people, instance):
    url = instance.get_absolute_url()
    assert "Nothing stops it" in panel(client, people["vera"], url, "stop")
    services.set_posture(
        scope=instance.environment, mode=Mode.READ_ONLY, actor=people["dan"], reason="Wrong ledger"
    )
    text = panel(client, people["vera"], url, "stop")
    assert "1 stop stands on something above it" in text and "Wrong ledger" in text
    assert text.count("As the policy says") == 3 and text.count("Denied") == 2


def test_a_stop_of_one_tool_takes_no_column_away_but_is_shown(client, people, instance):
    services.set_posture(
        scope=instance, mode=Mode.PAUSED, actor=people["dan"], reason="Spam", tool="send_email"
    )
    text = panel(client, people["vera"], instance.get_absolute_url(), "stop")
    assert "tool send_email" in text and "Denied" not in text


def test_an_instance_is_stopped_at_one_place_of_its_page_and_asked_for_at_one(client, people, instance):
    url, move = instance.get_absolute_url(), reverse("registry:instance_move", args=[instance.typeid])
    for name, stops, asks in (("dan", 1, 0), ("grace", 0, 1), ("vera", 0, 0)):
        client.force_login(people[name])
        text = client.get(url).content.decode()
        assert text.count(f"{move}?to=quarantined") == stops
        assert text.count(reverse("policy:stop_choose") + "?named=") == asks
        assert reverse("policy:stop_preview") not in text


def test_a_stop_of_this_instance_alone_is_shown_with_its_page_where_it_ends(client, people, instance):
    posture = services.set_posture(scope=instance, mode=Mode.PAUSED, actor=people["dan"], reason="Spam")
    text = panel(client, people["dan"], instance.get_absolute_url(), "stop")
    assert "1 stop was set on it through the Stop page" in text
    assert posture.get_absolute_url() in text


def test_instance_and_version_show_policy_approvals_and_decisions(client, people, instance):
    request, decision = make.approval(instance), make.decision(instance)
    for subject in (instance, instance.version):
        url = subject.get_absolute_url()
        assert "policy-" in panel(client, people["vera"], url, "policy")
        assert request.get_absolute_url() in panel(client, people["vera"], url, "approvals")
        assert decision.typeid in panel(client, people["vera"], url, "decisions")


def test_without_a_policy_the_page_says_that_nothing_is_allowed(client, people):
    text = panel(client, people["vera"], make.instance().get_absolute_url(), "policy")
    assert "No policy holds" in text


def test_home_shows_my_queue_and_what_is_stopped(client, people, instance):
    home = reverse("home")
    text = page(client, people["erin"], home)
    assert "Approvals waiting" not in text and "Stops in force" not in text
    request, posture = make.approval(instance), make.posture(instance)
    assert request.get_absolute_url() in panel(client, people["erin"], home, "approvals")
    mine = panel(client, people["vera"], home, "approvals")
    assert request.get_absolute_url() not in mine and "</span> waits in all" in mine
    assert posture.get_absolute_url() in panel(client, people["vera"], home, "stops")
