"""Who may issue a token that acts as an account: never one that may do more, and never by another token."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from arm import changes, clock, services
from arm.errors import NotAllowed
from arm.models import ApiKey, ChangeRecord, Membership, Tenant, User
from arm.rights import Right
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def robot(acme: Tenant) -> User:
    return make.user("robot", member_of=acme, kind=User.Kind.SERVICE)


@pytest.fixture
def alice(acme: Tenant) -> User:
    person = make.user("alice", member_of=acme)
    for right in (Right.MANAGE_KEYS, Right.MANAGE_TENANT, Right.READ_DIRECTORY):
        make.grant(person, acme, right)
    return person


@pytest.fixture
def by_token(acme: Tenant) -> Iterator[ApiKey]:
    key, _ = make.key(ApiKey.Kind.SERVICE, tenant=acme)
    before = changes.credential.set(key.typeid)
    yield key
    changes.credential.reset(before)


def issue(robot: User, actor: User) -> services.Issued:
    member = Membership.objects.get(user=robot)
    return services.issue_service_token(member=member, name="ci", days=1, actor=actor, reason="pipeline")


def test_a_token_acts_as_an_account_that_may_no_more_than_who_issues_it(
    acme: Tenant, alice: User, robot: User
) -> None:
    make.grant(robot, acme, Right.READ_DIRECTORY)
    assert issue(robot, alice).key.user == robot


def test_nobody_is_handed_a_right_by_the_token_of_a_machine(acme: Tenant, alice: User, robot: User) -> None:
    make.grant(robot, acme, Right.READ_DIRECTORY, Right.ASK_DECISION)
    with pytest.raises(NotAllowed) as refused:
        issue(robot, alice)
    assert refused.value.extra["right"] == Right.ASK_DECISION.value
    assert not ApiKey.objects.exists()
    assert not ChangeRecord.objects.filter(verb="arm.key.issued").exists()


def test_a_right_on_one_environment_hands_on_none_of_another(acme: Tenant, robot: User) -> None:
    prod, dev = make.environment("prod", tenant=acme), make.environment("dev", tenant=acme)
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.MANAGE_KEYS)
    make.grant(bob, dev, Right.ASK_DECISION)
    make.grant(robot, dev, Right.ASK_DECISION)
    assert issue(robot, bob).token
    make.grant(robot, prod, Right.ASK_DECISION)
    with pytest.raises(NotAllowed, match="prod"):
        issue(robot, bob)


def test_a_right_that_begins_tomorrow_counts_and_one_that_has_ended_does_not(
    acme: Tenant, alice: User, robot: User
) -> None:
    make.grant(robot, acme, Right.ASK_DECISION, expires_at=clock.now() - timedelta(days=1))
    assert issue(robot, alice).token
    make.grant(robot, acme, Right.ASK_DECISION, not_before=clock.now() + timedelta(days=1))
    with pytest.raises(NotAllowed):
        issue(robot, alice)


def test_an_administrator_of_the_platform_issues_what_a_tenants_own_may_not(
    acme: Tenant, alice: User, robot: User
) -> None:
    make.grant(robot, acme, Right.ASK_DECISION)
    assert issue(robot, make.user("root", is_superuser=True)).key.user == robot


@pytest.mark.parametrize("kind", ApiKey.Kind)
def test_no_token_issues_another_whoever_it_acts_as(
    acme: Tenant, alice: User, kind: ApiKey.Kind, by_token: ApiKey
) -> None:
    with pytest.raises(NotAllowed, match="A token issues no other"):
        services.issue_key(tenant=acme, kind=kind, name="more", actor=alice, user=alice, reason="to stay")
    assert list(ApiKey.objects.all()) == [by_token]


def test_a_service_account_issues_none_whatever_it_was_granted(acme: Tenant, robot: User) -> None:
    make.everything(robot, acme)
    with pytest.raises(NotAllowed, match="A token issues no other"):
        issue(robot, robot)


class TestDoors:
    """The page and the API lead to the same rule."""

    @pytest.fixture
    def address(self, robot: User) -> str:
        return Membership.objects.get(user=robot).typeid

    def test_the_api_refuses_a_token_and_takes_the_person(
        self, acme: Tenant, alice: User, address: str
    ) -> None:
        _, token = make.key(ApiKey.Kind.PERSONAL, tenant=acme, user=alice)
        asked: Any = {"name": "ci", "days": 1, "reason": "pipeline"}
        where, form = f"/api/v1/people/members/{address}/token/", "application/json"
        machine = Client(headers={"authorization": f"Bearer {token}"})
        refused = machine.post(where, asked, content_type=form)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
        person = Client()
        person.force_login(alice)
        assert person.post(where, asked, content_type=form).status_code == 201

    def test_the_page_says_which_right_would_be_handed_over(
        self, acme: Tenant, alice: User, robot: User, address: str
    ) -> None:
        make.grant(robot, acme, Right.ASK_DECISION)
        browser = Client()
        browser.force_login(alice)
        sent = {"name": "ci", "days": 1, "reason": "pipeline"}
        answer = browser.post(f"/people/{address}/token/", sent)
        assert answer.status_code == 403
        assert b"and you may not" in answer.content
        assert not ApiKey.objects.exists()
