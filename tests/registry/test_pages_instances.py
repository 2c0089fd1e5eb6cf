"""Before a stop its reach is shown in numbers; a workload token is shown once."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock
from arm.crypto import token_digest
from arm.models import ApiKey, ChangeRecord
from arm.rights import Right
from registry.models import AgentInstance, KeyScope
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def running(acme):
    return make.instance(name="billing-1")


def sign_in(client, acme, *rights):
    olga = make.user("olga", member_of=acme)
    make.grant(olga, acme, Right.READ_DIRECTORY, *rights)
    client.force_login(olga)
    return olga


def at(name, row, query=""):
    return reverse(f"registry:{name}", args=[row.typeid]) + query


def test_a_stop_shows_who_takes_over_what_was_spawned_and_which_tokens_live(client, acme, running):
    sign_in(client, acme, Right.RESTRICT_INSTANCE)
    alone = client.get(at("instance_move", running, "?to=quarantined"))
    assert "nobody takes over" in alone.content.decode()
    for state in ("active", "active", "paused"):
        make.instance(version=running.version, environment=running.environment, state=state)
    make.instance(parent=running)
    make.workload_token(running)
    make.workload_token(running)
    spent = ApiKey.objects.order_by("pk").last()
    ApiKey.objects.filter(pk=spent.pk).update(expires_at=clock.now() - timedelta(days=1))
    reach = client.get(at("instance_move", running, "?to=quarantined")).context["reach"]
    assert (reach.colleagues, reach.children, reach.tokens) == (2, 1, 1)


def test_a_stop_without_a_reason_does_not_happen(client, acme, running):
    sign_in(client, acme, Right.RESTRICT_INSTANCE)
    client.post(at("instance_move", running), {"to": "paused", "reason": " "})
    assert AgentInstance.objects.get(pk=running.pk).state == "active"


def test_another_state_is_shown_with_its_reach_first_and_the_reason_stays(client, acme, running):
    sign_in(client, acme, Right.RESTRICT_INSTANCE)
    form = {"seen": "quarantined", "to": "paused", "reason": "It buys adverts."}
    page = client.post(at("instance_move", running, "?to=quarantined"), form)
    text = page.content.decode()
    assert page.context["chosen"].to == "paused" and "Nothing has happened yet" in text
    assert "It buys adverts." in text
    assert AgentInstance.objects.get(pk=running.pk).state == "active"
    client.post(at("instance_move", running), form | {"seen": page.context["form"].initial["seen"]})
    assert AgentInstance.objects.get(pk=running.pk).state == "paused"


def test_a_workload_token_is_shown_once_and_speaks_for_its_instance_alone(client, acme, running):
    sign_in(client, acme, Right.MANAGE_KEYS)
    assert at("instance_token", running) in client.get(running.get_absolute_url()).content.decode()
    form = {"name": "vault/billing", "days": 30, "reason": "first start"}
    page = client.post(at("instance_token", running), form)
    (token,) = set(re.findall(r"armw_\w+", page.content.decode()))
    key = ApiKey.objects.get(name="vault/billing")
    assert bytes(key.digest) == token_digest(token) and page["Cache-Control"] == "private, no-store"
    assert KeyScope.objects.get(key=key).instance == running
    assert token not in str(list(ChangeRecord.objects.values()))
    assert token not in client.get(running.get_absolute_url()).content.decode()


def test_without_the_right_over_keys_there_is_neither_button_nor_token(client, acme, running):
    sign_in(client, acme, Right.RESTRICT_INSTANCE)
    assert at("instance_token", running) not in client.get(running.get_absolute_url()).content.decode()
    form = {"name": "mine", "days": 30, "reason": "please"}
    assert client.post(at("instance_token", running), form).status_code == 403
    assert not ApiKey.objects.exists()
