"""Whose tenant a visitor sees: the one they chose while it is theirs, else their oldest, else none."""

from uuid import uuid4

import pytest
from django.db import connections

from arm import db
from arm.middleware import SESSION_TENANT
from arm.models import Membership
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def house():
    """Bob is a member of two of three tenants."""
    made = (make.tenant(slug) for slug in ("acme", "globex", "initech"))
    tenants = sorted(made, key=lambda one: one.pk)  # by age: of one millisecond, by chance
    bob = make.user("bob", member_of=tenants[0])
    Membership.objects.create(tenant=tenants[1], user=bob)
    return bob, tenants


def seen() -> str:
    return db.current().strip("{}")


def test_the_chosen_one_is_entered_and_no_other(house):
    bob, (acme, globex, _) = house
    assert db.enter(bob.pk, str(globex.pk), platform=False) == ([acme.pk, globex.pk], globex.pk)
    assert seen() == str(globex.pk)


@pytest.mark.parametrize("wanted", ["", "initech's", "'} OR true --", "\u00fc" * 99])
def test_what_is_not_theirs_is_their_oldest(house, wanted):
    bob, (acme, globex, initech) = house
    wanted = str(initech.pk) if wanted == "initech's" else wanted
    assert db.enter(bob.pk, wanted, platform=False) == ([acme.pk, globex.pk], acme.pk)
    assert seen() == str(acme.pk)


def test_who_is_a_member_no_longer_is_let_in_nowhere(house):
    bob, (acme, *_) = house
    Membership.objects.filter(user=bob).update(active=False)
    assert db.enter(bob.pk, str(acme.pk), platform=False) == ([], None)
    assert seen() == "" and not Membership.objects.exists()


def test_an_administrator_of_the_installation_may_enter_each(house):
    root, (_, _, initech) = make.user("root", is_superuser=True), house[1]
    mine, current = db.enter(root.pk, str(initech.pk), platform=True)
    assert current == initech.pk and {one.pk for one in house[1]} <= set(mine)


def test_the_choice_of_a_session_is_kept_until_its_tenant_is_theirs_no_longer(house, client):
    bob, (acme, globex, _) = house
    client.force_login(bob)
    session = client.session
    session[SESSION_TENANT] = str(globex.pk)
    session.save()
    assert client.get("/").wsgi_request.tenant == globex
    Membership.objects.filter(user=bob, tenant=globex).update(active=False)
    assert client.get("/").wsgi_request.tenant == acme


def test_nobody_enters_outside_of_a_transaction(monkeypatch):
    """The setting would be gone with the statement, and the answer say that somebody is in."""
    monkeypatch.setattr(connections["default"], "in_atomic_block", False)
    with pytest.raises(RuntimeError, match="there is none"):
        db.enter(uuid4(), "", platform=False)
