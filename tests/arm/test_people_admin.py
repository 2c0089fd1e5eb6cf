"""Accounts, tenants, members and teams in the admin: by services, with a reason, on the record."""

import re

import pytest
from django.test import Client

from arm import db
from arm.models import ChangeRecord, Membership, SecurityEvent, Team, Tenant, User
from tests import make

pytestmark = pytest.mark.django_db
ONE_TIME = re.compile(r"<code data-one-time>([^<]+)</code>")


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def root(acme: Tenant, client: Client) -> Client:
    client.force_login(make.user("root", member_of=acme, is_superuser=True))
    return client


@pytest.fixture
def bob(acme: Tenant) -> User:
    return make.user("bob", member_of=acme)


def command(client: Client, noun: str, action: str, row: object, **said: str) -> str:
    sent = {"action": action, "_selected_action": str(row), "confirmed": "yes", **said}
    return client.post(f"/admin/arm/{noun}/", sent, follow=True).content.decode()


def test_an_account_is_opened_with_a_password_that_is_shown_once(root: Client) -> None:
    form = root.get("/admin/arm/user/add/").content.decode()
    for name in ("groups", "user_permissions", "is_superuser", "password1"):
        assert f'name="{name}"' not in form
    sent = {"username": "carol", "email": "carol@example.com", "kind": "person", "reason": "hired"}
    answer = root.post("/admin/arm/user/add/", {**sent, "is_superuser": "on", "groups": "1"})
    (password,) = ONE_TIME.findall(answer.content.decode())
    carol = User.objects.get(username="carol")
    assert carol.check_password(password)
    assert carol.must_change_password
    assert not carol.is_superuser
    with make.platform():
        assert SecurityEvent.objects.get(kind="account_changed").detail["reason"] == "hired"


def test_what_exists_is_shown_and_never_written(root: Client, bob: User) -> None:
    page = f"/admin/arm/user/{bob.pk}/change/"
    assert root.get(page).status_code == 200
    assert root.post(page, {"username": "bob", "is_superuser": "on"}).status_code == 403
    bob.refresh_from_db()
    assert not bob.is_superuser


def test_commands_are_recorded(root: Client, bob: User) -> None:
    command(root, "user", "make_platform_admin", bob.pk, reason="promoted")
    command(root, "user", "unmake_platform_admin", bob.pk, reason="demoted")
    command(root, "user", "close_account", bob.pk, reason="lost laptop")
    command(root, "user", "reopen_account", bob.pk, reason="found it")
    shown = command(root, "user", "reset_password", bob.pk, reason="to be sure")
    bob.refresh_from_db()
    assert bob.check_password(ONE_TIME.findall(shown)[0])
    records = ChangeRecord.objects.filter(verb="arm.account.changed")
    assert set(records.values_list("reason", flat=True)) == {
        "promoted", "demoted", "lost laptop", "found it", "to be sure",
    }  # fmt: skip


def test_who_administers_a_tenant_sees_no_accounts(acme: Tenant, client: Client, bob: User) -> None:
    client.force_login(make.hired("judy", "tenant_admin", acme))
    assert client.get("/admin/arm/user/").status_code == 403
    assert client.get("/admin/arm/user/add/").status_code == 403
    assert client.get("/admin/arm/tenant/add/").status_code == 403
    command(client, "user", "make_platform_admin", bob.pk, reason="x")
    bob.refresh_from_db()
    assert not bob.is_superuser


def test_members_and_teams_come_and_go(acme: Tenant, client: Client) -> None:
    client.force_login(make.hired("judy", "tenant_admin", acme))
    bob = make.user("bob")
    refused = client.post("/admin/arm/membership/add/", {"username": "nobody", "reason": "x"})
    assert refused.status_code == 422
    added = client.post("/admin/arm/membership/add/", {"username": "bob", "reason": "hired"})
    assert added.status_code == 302
    member = Membership.objects.get(user=bob)
    assert client.post("/admin/arm/team/add/", {"name": "Night", "reason": "shift"}).status_code == 302
    team = Team.objects.get()
    command(client, "team", "join_team", team.pk, username="bob", reason="shift")
    assert list(team.group.user_set.all()) == [bob]
    command(client, "membership", "remove_member", member.pk, reason="left")
    member.refresh_from_db()
    assert not member.active
    assert not team.group.user_set.exists()


def test_a_second_tenant(root: Client, bob: User) -> None:
    sent = {"slug": "globex", "name": "Globex", "admin": "bob", "reason": "customer"}
    assert root.post("/admin/arm/tenant/add/", sent).status_code == 302
    with db.tenants(db.all_tenants()):
        assert Tenant.objects.filter(slug="globex").exists()


def test_background_work_is_read_and_never_started_from_here(root: Client) -> None:
    assert root.get("/admin/django_q/failure/").status_code == 200
    assert root.get("/admin/django_q/failure/add/").status_code == 403
    assert root.get("/admin/django_q/schedule/add/").status_code == 404
