"""The fleet page as a whole: what is held back comes first, a renewal sends the panels alone, a stranger sees nothing."""

from datetime import timedelta

import pytest
from django.test import Client

from arm import clock
from arm.models import User
from arm.rights import Right
from registry.lifecycle import InstanceState
from registry.models import Environment
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def prod() -> Environment:
    return make.environment("prod", name="Production")


@pytest.fixture
def alice(prod: Environment) -> User:
    """Sees the whole tenant."""
    user = make.user("alice", member_of=prod.tenant)
    make.grant(user, prod.tenant, Right.READ_DIRECTORY)
    return user


def page(user: User, **headers: str) -> str:
    client = Client()
    client.force_login(user)
    answer = client.get("/", headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_who_may_see_nothing_is_told_so(prod: Environment) -> None:
    mallory = make.user("mallory", member_of=prod.tenant)
    make.instance(environment=prod, name="secret-agent")

    html = page(mallory)

    assert "secret-agent" not in html and "Nothing to show yet" in html


def test_what_is_held_back_is_named_with_the_latest_first(alice: User, prod: Environment) -> None:
    now = clock.now()
    make.instance(
        environment=prod, state=InstanceState.PAUSED, name="first", state_since=now - timedelta(hours=1)
    )
    make.instance(environment=prod, state=InstanceState.QUARANTINED, name="second", state_since=now)

    html = page(alice)

    assert 0 < html.index(">second<") < html.index(">first<")


def test_a_renewal_fetches_the_panels_alone(alice: User, prod: Environment) -> None:
    make.instance(environment=prod)

    whole, part = page(alice), page(alice, **{"HX-Request": "true"})

    assert 'hx-trigger="every 3s, renew"' in whole and "<html" in whole
    assert "<html" not in part and "Heard in time" in part
