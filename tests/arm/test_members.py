"""Who works in a tenant: coming, going, teams, accounts, and what each may not do."""

import json
from typing import Any

import pytest
from django.test import Client

from arm import db, services
from arm.errors import Conflict, DomainError, Invalid, NotAllowed
from arm.models import ApiKey, ChangeRecord, Membership, SecurityEvent, Team, Tenant, User
from arm.permissions import allowed
from arm.rights import Right
from tests import make

pytestmark = pytest.mark.django_db
READ = Right.READ_DIRECTORY


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def alice(acme: Tenant) -> User:
    alice = make.user("alice", member_of=acme)
    make.grant(alice, acme, Right.BIND_ROLE, Right.MANAGE_TENANT, Right.MANAGE_KEYS)
    return alice


@pytest.fixture
def bob(acme: Tenant) -> User:
    return make.user("bob", member_of=acme)


@pytest.fixture
def root() -> User:
    return make.user("root", is_superuser=True)


def team_of(acme: Tenant, by: User, *people: User, name: str = "Night") -> Team:
    return services.create_team(tenant=acme, name=name, members=list(people), actor=by, reason="shift")


def verbs() -> list[str]:
    return list(ChangeRecord.objects.order_by("pk").values_list("verb", flat=True))


def asked(token: str) -> int:
    headers = {"authorization": f"Bearer {token}"}
    return Client(headers=headers).get("/api/v1/registry/templates/").status_code


class TestLeaving:
    def test_teams_and_keys_end_with_the_membership(self, acme: Tenant, alice: User, bob: User) -> None:
        team = team_of(acme, alice, bob)
        services.bind(principal=team.group, role="viewer", scope=acme, actor=alice, reason="look")
        key, token = make.key(ApiKey.Kind.PERSONAL, tenant=acme, user=bob)
        assert allowed(bob, READ, acme)
        assert asked(token) == 200
        services.remove_member(member=Membership.objects.get(user=bob), actor=alice, reason="left")
        assert not allowed(bob, READ, acme)
        assert not bob.groups.exists()
        key.refresh_from_db()
        assert key.revoked_at is not None
        assert asked(token) == 401
        assert verbs()[-3:] == ["arm.team.left", "arm.key.revoked", "arm.member.removed"]

    def test_a_key_of_a_former_member_opens_nothing(self, acme: Tenant, bob: User) -> None:
        make.grant(bob, acme, READ)
        _, token = make.key(ApiKey.Kind.PERSONAL, tenant=acme, user=bob)
        assert asked(token) == 200
        Membership.objects.filter(user=bob).update(active=False)  # the row alone: the key itself is live
        assert asked(token) == 401

    def test_keys_of_another_tenant_stay(self, acme: Tenant, alice: User, bob: User) -> None:
        other = make.tenant("other")
        Membership.objects.create(tenant=other, user=bob)
        make.grant(bob, other, READ)
        _, token = make.key(ApiKey.Kind.PERSONAL, tenant=other, user=bob)
        services.remove_member(
            member=Membership.objects.get(user=bob, tenant=acme), actor=alice, reason="left"
        )
        assert asked(token) == 200

    def test_nobody_leaves_twice(self, alice: User, bob: User) -> None:
        member = Membership.objects.get(user=bob)
        services.remove_member(member=member, actor=alice, reason="left")
        with pytest.raises(Conflict):
            services.remove_member(member=member, actor=alice, reason="again")


class TestTeams:
    def test_an_auditor_gets_no_writing_role_by_a_team(self, acme: Tenant, alice: User, bob: User) -> None:
        services.bind(principal=bob, role="auditor", scope=acme, actor=alice, reason="audit")
        team = team_of(acme, alice, bob)
        with pytest.raises(Conflict, match="bob"):
            services.bind(principal=team.group, role="author", scope=acme, actor=alice, reason="x")
        assert not allowed(bob, Right.CREATE_VERSION, acme)

    def test_an_auditor_joins_no_team_that_writes(self, acme: Tenant, alice: User, bob: User) -> None:
        services.bind(principal=bob, role="auditor", scope=acme, actor=alice, reason="audit")
        team = team_of(acme, alice)
        services.bind(principal=team.group, role="author", scope=acme, actor=alice, reason="build")
        with pytest.raises(Conflict, match="auditor"):
            services.join_team(team=team, user=bob, actor=alice, reason="x")
        assert not bob.groups.exists()

    def test_two_teams_may_not_add_up_to_a_conflict(self, acme: Tenant, alice: User, bob: User) -> None:
        reads, writes = team_of(acme, alice, bob), team_of(acme, alice, bob, name="Day")
        services.bind(principal=reads.group, role="auditor", scope=acme, actor=alice, reason="audit")
        with pytest.raises(Conflict):
            services.bind(principal=writes.group, role="author", scope=acme, actor=alice, reason="x")

    def test_joining_hands_the_teams_roles_on_and_leaving_ends_them(
        self, acme: Tenant, alice: User, bob: User
    ) -> None:
        team = team_of(acme, alice)
        services.bind(principal=team.group, role="viewer", scope=acme, actor=alice, reason="look")
        services.join_team(team=team, user=bob, actor=alice, reason="shift")
        assert allowed(bob, READ, acme)
        services.leave_team(team=team, user=bob, actor=alice, reason="over")
        assert not allowed(bob, READ, acme)
        assert verbs()[-2:] == ["arm.team.joined", "arm.team.left"]

    def test_nobody_gives_themselves_a_role_by_joining(self, acme: Tenant, alice: User) -> None:
        team = team_of(acme, alice)
        services.bind(principal=team.group, role="approver", scope=acme, actor=alice, reason="x")
        with pytest.raises(NotAllowed):
            services.join_team(team=team, user=alice, actor=alice, reason="me")

    def test_who_may_bind_nothing_lets_nobody_into_a_team_with_roles(self, acme: Tenant, alice: User) -> None:
        clerk, carol = make.user("clerk", member_of=acme), make.user("carol", member_of=acme)
        make.grant(clerk, acme, Right.MANAGE_TENANT)
        team = team_of(acme, clerk)
        services.join_team(team=team, user=carol, actor=clerk, reason="holds nothing yet")
        services.bind(principal=team.group, role="approver", scope=acme, actor=alice, reason="x")
        with pytest.raises(NotAllowed):
            services.join_team(
                team=team, user=make.user("dan", member_of=acme), actor=clerk, reason="back door"
            )

    def test_a_team_is_of_members(self, acme: Tenant, alice: User) -> None:
        with pytest.raises(Invalid):
            team_of(acme, alice, make.user("stranger"))
        with pytest.raises(Invalid):
            services.join_team(team=team_of(acme, alice), user=make.user("other"), actor=alice, reason="x")

    def test_a_team_of_another_tenant_gets_no_role(self, acme: Tenant, alice: User, root: User) -> None:
        theirs = team_of(make.tenant("other"), root)
        with pytest.raises(Invalid):
            services.bind(principal=theirs.group, role="viewer", scope=acme, actor=alice, reason="x")


class TestAccounts:
    def test_a_new_member_signs_in_once_with_what_was_shown(self, acme: Tenant, alice: User) -> None:
        account = services.Account("carol", "Carol", "Release", "carol@example.com")
        member, password = services.add_new_member(tenant=acme, account=account, actor=alice, reason="hired")
        assert member.user.must_change_password
        assert member.user.check_password(password)
        recorded = json.dumps([record.body() for record in ChangeRecord.objects.all()])
        assert password not in recorded
        with make.platform():
            event = SecurityEvent.objects.get(kind="account_changed")
        assert event.detail == {"verb": "opened", "by": "alice", "reason": "hired"}

    def test_a_taken_or_crooked_name_is_pointed_at(self, acme: Tenant, alice: User, bob: User) -> None:
        for account in (services.Account("bob"), services.Account("b o b"), services.Account("")):
            with pytest.raises(Invalid) as refused:
                services.add_new_member(tenant=acme, account=account, actor=alice, reason="x")
            assert {error["pointer"] for error in refused.value.extra["errors"]} == {"/username"}  # type: ignore[attr-defined]

    def test_a_service_account_has_no_password_and_its_token_acts_as_it(
        self, acme: Tenant, alice: User, bob: User
    ) -> None:
        robot, password = services.add_new_member(
            tenant=acme, account=services.Account("ci", kind="service"), actor=alice, reason="pipeline"
        )
        assert password == ""
        assert not robot.user.has_usable_password()
        issued = services.issue_service_token(
            member=robot, name="ci", days=30, actor=alice, reason="pipeline"
        )
        assert asked(issued.token) == 200
        person = Membership.objects.get(user=bob)
        with pytest.raises(Conflict):
            services.issue_service_token(member=person, name="x", days=30, actor=alice, reason="as bob")

    def test_only_the_platforms_administrators_touch_accounts(self, alice: User, bob: User) -> None:
        attempts: list[Any] = [
            lambda: services.create_account(account=services.Account("x"), actor=alice, reason="x"),
            lambda: services.close_account(user=bob, actor=alice, reason="x"),
            lambda: services.reopen_account(user=bob, actor=alice, reason="x"),
            lambda: services.reset_password(user=bob, actor=alice, reason="x"),
            lambda: services.make_platform_admin(user=bob, actor=alice, reason="x"),
            lambda: services.unmake_platform_admin(user=bob, actor=alice, reason="x"),
            lambda: services.create_tenant(slug="x", name="X", admin=bob, actor=alice, reason="x"),
        ]
        for attempt in attempts:
            with pytest.raises(NotAllowed):
                attempt()

    def test_every_act_is_told_to_the_tenants_of_the_account(
        self, acme: Tenant, root: User, bob: User
    ) -> None:
        services.close_account(user=bob, actor=root, reason="lost laptop")
        services.reopen_account(user=bob, actor=root, reason="found it")
        services.reset_password(user=bob, actor=root, reason="to be sure")
        services.make_platform_admin(user=bob, actor=root, reason="promoted")
        services.unmake_platform_admin(user=bob, actor=root, reason="demoted")
        told = [
            r.after["account"] for r in ChangeRecord.objects.filter(verb="arm.account.changed").order_by("pk")
        ]
        assert told == [
            "closed", "reopened", "password reset", "made platform administrator",
            "no longer platform administrator",
        ]  # fmt: skip
        with make.platform():
            assert SecurityEvent.objects.filter(kind="account_changed", user_id=bob.pk).count() == 5

    def test_a_new_password_ends_the_sessions(
        self, acme: Tenant, root: User, bob: User, client: Client
    ) -> None:
        client.force_login(bob)
        assert client.get("/").status_code == 200
        services.reset_password(user=bob, actor=root, reason="lost")
        assert client.get("/").status_code == 302

    def test_the_last_administrator_stays(self, root: User) -> None:
        for act in (services.close_account, services.unmake_platform_admin):
            with pytest.raises(Conflict):
                act(user=root, actor=root, reason="x")

    @pytest.mark.parametrize("role", ["auditor", "grc_analyst"])
    def test_an_administrator_of_the_platform_audits_nothing(
        self, acme: Tenant, alice: User, root: User, bob: User, role: str
    ) -> None:
        services.bind(principal=bob, role=role, scope=acme, actor=alice, reason="x")
        with pytest.raises(Conflict):
            services.make_platform_admin(user=bob, actor=root, reason="x")


class TestTenants:
    def test_a_second_tenant_starts_with_its_administrator_and_places(self, root: User, bob: User) -> None:
        made = services.create_tenant(slug="globex", name="Globex", admin=bob, actor=root, reason="customer")
        assert made.pk in db.tenants_of(bob.pk)
        with db.tenants([made.pk]):
            assert allowed(bob, Right.MANAGE_TENANT, made)
            assert {"arm.tenant.created", "arm.member.added", "arm.role.bound"} <= set(verbs())

    @pytest.mark.parametrize("slug", ["globex", "Not a slug", ""])
    def test_a_taken_or_crooked_slug_is_refused(self, root: User, bob: User, slug: str) -> None:
        services.create_tenant(slug="globex", name="Globex", admin=bob, actor=root, reason="customer")
        with pytest.raises(DomainError):
            services.create_tenant(slug=slug, name="Globex", admin=bob, actor=root, reason="customer")
