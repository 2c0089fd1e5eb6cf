"""People and roles, from the first administrator alone to a second person who approves; pages, API and command."""

import io
import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from arm import crypto, db, ids, services
from arm.models import ApiKey, ChangeRecord, Membership, Team, Tenant, User
from arm.permissions import allowed
from arm.rights import Right
from registry.models import AgentVersion
from tests import make

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough password for people"
ONE_TIME = re.compile(r"<code data-one-time>([^<]+)</code>")


def send(client: Client, path: str, body: dict[str, Any]) -> Any:
    answer = client.post(f"/api/v1/{path}", json.dumps(body), content_type="application/json")
    return answer.status_code, json.loads(answer.content)


def test_from_the_first_administrator_to_a_second_person_who_approves(monkeypatch: Any) -> None:
    monkeypatch.setenv("ARM_ADMIN_PASSWORD", PASSWORD)
    call_command("first_admin", stdout=io.StringIO())
    (tenant_id,) = db.all_tenants()
    admin, erin = Client(), Client()
    assert admin.post("/sign-in/", {"username": "admin", "password": PASSWORD}).status_code == 302

    added = admin.post(
        "/people/add/",
        {"account": "person", "username": "erin", "first_name": "Erin", "reason": "a second person"},
    )
    (one_time,) = ONE_TIME.findall(added.content.decode())
    assert one_time not in admin.get("/people/").content.decode()
    with db.tenants([tenant_id]):
        person = User.objects.get(username="erin")
        version = _candidate(admin)
    bound = admin.post(
        "/people/bind/", {"principal": f"user:{person.pk}", "role": "approver", "reason": "hired"}
    )
    assert bound["Location"] == "/people/"

    assert erin.post("/sign-in/", {"username": "erin", "password": one_time}).status_code == 302
    assert erin.get("/")["Location"] == "/password/"  # nothing else until the password is their own
    changed = {"old_password": one_time, "new_password1": PASSWORD, "new_password2": PASSWORD}
    assert erin.post("/password/", changed).status_code == 302
    assert erin.get("/").status_code == 200

    move = f"registry/versions/{version}/move/"
    status, refused = send(admin, move, {"to": "approved", "reason": "my own"})
    assert (status, refused["code"]) != (200, "")
    assert status in {403, 409}
    status, approved = send(erin, move, {"to": "approved", "reason": "read it"})
    assert (status, approved["state"]) == (200, "approved")
    with db.tenants([tenant_id]):
        assert AgentVersion.objects.get().state == "approved"
        verbs = set(ChangeRecord.objects.values_list("verb", flat=True))
        assert {"arm.tenant.created", "arm.member.added", "arm.role.bound"} <= verbs
        moves = ChangeRecord.objects.filter(verb__startswith="registry.version", actor_label="Erin")
        assert "sod_mode" not in moves.latest("at").after


def _candidate(admin: Client) -> str:
    status, template = send(
        admin, "registry/templates/", {"slug": "refunds", "name": "Refunds", "reason": "asked for"}
    )
    assert status == 201, template
    genome = {
        "schema": "arm.genome/v1",
        "template": template["id"],
        "models": [{"role": "primary", "provider": "openai", "name": "gpt-4o", "revision": "2024-08-06"}],
        "prompts": [{"role": "system", "media_type": "text/plain", "size": 12, "digest": crypto.digest(b"x")}],
        "tools": [],
        "provenance": {
            "source_repo": "https://git.example/agents", "commit": "0" * 40, "builder": "ci", "materials": [],
        },
    }  # fmt: skip
    status, version = send(
        admin, "registry/versions/", {"template": template["id"], "genome": genome, "reason": "built"}
    )
    assert status == 201, version
    make.evaluated(AgentVersion.objects.get(pk=ids.decode("ver", version["id"])))
    for state in ("testing", "candidate"):
        status, moved = send(
            admin, f"registry/versions/{version['id']}/move/", {"to": state, "reason": "ready"}
        )
        assert status == 200, moved
    return str(version["id"])


class TestPages:
    @pytest.fixture
    def acme(self) -> Tenant:
        return make.tenant("acme")

    @pytest.fixture
    def judy(self, acme: Tenant) -> User:
        return make.hired("judy", "tenant_admin", acme)

    @pytest.fixture
    def page(self, client: Client, judy: User) -> Client:
        client.force_login(judy)
        return client

    def test_a_refused_name_stays_in_the_form(self, page: Client) -> None:
        answer = page.post("/people/add/", {"account": "existing", "username": "nobody", "reason": "x"})
        assert answer.status_code == 422
        assert b"There is no account of this name." in answer.content
        assert b'value="nobody"' in answer.content

    def test_the_page_of_removal_names_what_ends(self, page: Client, acme: Tenant, judy: User) -> None:
        bob = make.hired("bob", "viewer", acme)
        services.create_team(tenant=acme, name="Builders", members=[bob], actor=judy, reason="shift")
        make.key(ApiKey.Kind.PERSONAL, tenant=acme, user=bob, name="laptop")
        member = Membership.objects.get(user=bob)
        said = page.get(f"/people/{member.typeid}/remove/").content.decode()
        assert all(word in said for word in ("Viewer on Acme", "Builders", "laptop"))
        assert page.post(f"/people/{member.typeid}/remove/", {"reason": ""}).status_code == 422
        assert page.post(f"/people/{member.typeid}/remove/", {"reason": "left"}).status_code == 302
        assert not Membership.objects.get(user=bob).active
        assert page.get(f"/people/{member.typeid}/remove/").status_code == 404

    def test_teams_are_made_joined_and_left(self, page: Client, acme: Tenant) -> None:
        bob = make.user("bob", member_of=acme)
        assert page.post("/people/teams/add/", {"name": "Night", "reason": "shift"}).status_code == 302
        assert page.post("/people/teams/add/", {"name": "Night", "reason": "shift"}).status_code == 409
        team = Team.objects.get()
        joins = {"person": str(bob.pk), "reason": "shift"}
        assert page.post(f"/people/teams/{team.typeid}/join/", joins).status_code == 302
        assert list(team.group.user_set.all()) == [bob]
        assert page.post(f"/people/teams/{team.typeid}/leave/", joins).status_code == 302
        assert not team.group.user_set.exists()

    def test_a_service_account_gets_a_token_that_is_shown_once(self, page: Client, acme: Tenant) -> None:
        sent = {"account": "service", "username": "ci", "reason": "pipeline"}
        assert page.post("/people/add/", sent)["Location"] == "/people/"
        member = Membership.objects.get(user__username="ci")
        shown = page.post(
            f"/people/{member.typeid}/token/", {"name": "pipeline", "days": "30", "reason": "pipeline"}
        ).content.decode()
        (token,) = set(re.findall(r"arms_\w{42}", shown))
        key = ApiKey.objects.get(user=member.user)
        assert bytes(key.digest) == crypto.token_digest(token)
        listed = page.get("/people/").content.decode()
        assert token not in listed
        assert f"/people/tokens/{key.typeid}/revoke/" in listed
        assert page.post(f"/people/tokens/{key.typeid}/revoke/", {"reason": "over"}).status_code == 302
        key.refresh_from_db()
        assert key.revoked_at is not None

    def test_who_manages_nothing_finds_no_door(self, client: Client, acme: Tenant) -> None:
        client.force_login(make.hired("vera", "viewer", acme))
        for path in ("/people/add/", "/people/teams/add/", "/people/bind/"):
            assert client.get(path).status_code == 404
            assert client.post(path, {"reason": "x"}).status_code == 404


class TestApi:
    @pytest.fixture
    def acme(self) -> Tenant:
        return make.tenant("acme")

    @pytest.fixture
    def judy(self, acme: Tenant) -> Client:
        client = Client()
        client.force_login(make.hired("judy", "tenant_admin", acme))
        return client

    def test_a_person_comes_and_goes(self, judy: Client) -> None:
        status, added = send(
            judy, "people/members/", {"account": "person", "username": "bob", "reason": "hired"}
        )
        assert status == 201
        assert User.objects.get(username="bob").check_password(added["one_time_password"])
        assert "one_time_password" not in judy.get(f"/api/v1/people/members/{added['id']}/").json()
        status, gone = send(judy, f"people/members/{added['id']}/remove/", {"reason": "left"})
        assert (status, gone["active"]) == (200, False)
        status, again = send(judy, f"people/members/{added['id']}/remove/", {"reason": "left"})
        assert (status, again["code"]) == (409, "conflict")

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"account": "existing", "username": "nobody", "reason": "x"}, "/username"),
            ({"account": "person", "username": "b o b", "reason": "x"}, "/username"),
            ({"account": "robot", "username": "bob", "reason": "x"}, "/account"),
            ({"account": "person", "username": "bob", "reason": "x", "is_superuser": True}, "/is_superuser"),
        ],
    )
    def test_a_wrong_member_is_pointed_at(self, judy: Client, body: dict[str, Any], pointer: str) -> None:
        status, said = send(judy, "people/members/", body)
        assert (status, [error["pointer"] for error in said["errors"]]) == (422, [pointer])

    def test_teams_and_tokens(self, judy: Client, acme: Tenant) -> None:
        make.user("bob", member_of=acme)
        status, team = send(judy, "people/teams/", {"name": "Night", "members": ["bob"], "reason": "shift"})
        assert (status, team["members"]) == (201, ["bob"])
        left = send(judy, f"people/teams/{team['id']}/leave/", {"username": "bob", "reason": "over"})
        assert (left[0], left[1]["members"]) == (200, [])
        joined = send(judy, f"people/teams/{team['id']}/join/", {"username": "bob", "reason": "back"})
        assert (joined[0], joined[1]["members"]) == (200, ["bob"])

        _, robot = send(
            judy, "people/members/", {"account": "service", "username": "ci", "reason": "pipeline"}
        )
        status, token = send(
            judy, f"people/members/{robot['id']}/token/", {"name": "ci", "reason": "pipeline"}
        )
        assert (status, token["token"][:5]) == (201, "arms_")
        assert "token" not in judy.get(f"/api/v1/people/tokens/{token['id']}/").json()
        status, revoked = send(judy, f"people/tokens/{token['id']}/revoke/", {"reason": "over"})
        assert status == 200
        assert revoked["revoked_at"]

    def test_who_manages_nothing_adds_nobody(self, acme: Tenant) -> None:
        vera = Client()
        vera.force_login(make.hired("vera", "viewer", acme))
        status, said = send(vera, "people/members/", {"account": "person", "username": "bob", "reason": "x"})
        assert (status, said["code"]) == (403, "not_allowed")
        assert not User.objects.filter(username="bob").exists()


class TestCommand:
    def test_a_second_tenant_from_the_command_line(self) -> None:
        make.user("root", is_superuser=True)
        bob = make.user("bob")
        said = io.StringIO()
        call_command("create_tenant", "globex", "Globex", "--admin", "bob", stdout=said)
        assert said.getvalue() == "tenant globex: bob administers it\n"
        with db.tenants(db.tenants_of(bob.pk)):
            globex = Tenant.objects.get()
            assert allowed(bob, Right.MANAGE_TENANT, globex)
            assert ChangeRecord.objects.get(verb="arm.tenant.created").actor_label == "root"

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (("globex", "Globex", "--admin", "nobody"), "no account"),
            (("Not a slug", "Globex", "--admin", "bob"), "/slug"),
            (("globex", "Globex", "--admin", "bob", "--by", "bob"), "platform's administrators"),
        ],
    )
    def test_what_is_wrong_is_said(self, arguments: tuple[str, ...], why: str) -> None:
        make.user("root", is_superuser=True)
        make.user("bob")
        with pytest.raises(CommandError, match=why):
            call_command("create_tenant", *arguments)
        assert not db.all_tenants()
