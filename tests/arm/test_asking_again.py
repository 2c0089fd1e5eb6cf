"""Asking again: what is unchanged is not sent, what changed meanwhile is not overwritten, what was done is not done twice."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from arm import clock, services
from arm.api import Endpoint
from arm.models import ChangeRecord, IdempotentReply, Membership, RoleBinding, Tenant, User
from arm.rights import Right
from arm.services.tidying import tidy
from registry.models import AgentTemplate, AgentVersion
from tests import make
from tests.registry.genomes import example
from tests.test_architecture import detail_paths, ids_of, routes

pytestmark = pytest.mark.django_db

TEMPLATES = "/api/v1/registry/templates/"
DESK = {"slug": "refund-desk", "name": "Refund desk", "reason": "Asked for by support"}


def told(client: Client, method: str, path: str, body: object = None, **headers: str) -> Any:
    ask = getattr(client, method)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if method == "get":
        return ask(path, headers=named)
    return ask(path, json.dumps(body), content_type="application/json", headers=named)


def end(binding: RoleBinding, tenant: Tenant) -> None:
    """As an administrator ends what somebody held."""
    judy = make.everything(make.user(member_of=tenant), tenant)
    services.unbind(binding=binding, actor=judy, reason="moved on")


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def alice(client: Client, acme: Tenant) -> User:
    person = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(person)
    return person


class TestReading:
    def test_every_single_object_has_an_etag_and_is_not_sent_again(
        self, client: Client, alice: User, acme: Tenant
    ) -> None:
        rows, seen = make.one_of_each(acme), 0
        for path, callback in detail_paths():
            actions = getattr(callback, "actions", None) or {}
            if actions.get("get") != "retrieve":
                continue
            url = ids_of(rows, path, callback)
            first = client.get(url)
            assert first.status_code == 200, url
            again = told(client, "get", url, If_None_Match=first["ETag"])
            assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"]), url
            other = told(client, "get", url, If_None_Match='"of something else"')
            assert (other.status_code, other.content) == (200, first.content), url
            seen += 1
        assert seen > 20

    def test_what_changed_is_sent_with_another_etag(self, client: Client, alice: User, acme: Tenant) -> None:
        url = f"{TEMPLATES}{make.template(tenant=acme).typeid}/"
        read = client.get(url)
        told(client, "patch", url, {"intended_use": "Another", "reason": "better"})
        again = told(client, "get", url, If_None_Match=read["ETag"])
        assert again.status_code == 200
        assert again["ETag"] != read["ETag"]


class TestWritingWhatWasRead:
    def test_an_edit_of_what_was_read_is_taken_and_tells_the_next_etag(
        self, client: Client, alice: User, acme: Tenant
    ) -> None:
        url = f"{TEMPLATES}{make.template(tenant=acme).typeid}/"
        read = client.get(url)
        edited = told(
            client, "patch", url, {"intended_use": "Refunds", "reason": "better"}, If_Match=read["ETag"]
        )
        assert edited.status_code == 200
        assert edited["ETag"] == client.get(url)["ETag"]
        assert (
            told(
                client, "patch", url, {"intended_use": "More", "reason": "better"}, If_Match=edited["ETag"]
            ).status_code
            == 200
        )

    @pytest.mark.parametrize("etag", ['"another"', 'W/"another"', "no etag at all"])
    def test_an_edit_of_what_is_no_more_is_refused_and_changes_nothing(
        self, client: Client, alice: User, acme: Tenant, etag: str
    ) -> None:
        template = make.template(tenant=acme)
        url, before = f"{TEMPLATES}{template.typeid}/", ChangeRecord.objects.count()
        refused = told(client, "patch", url, {"intended_use": "Mine", "reason": "better"}, If_Match=etag)
        assert (refused.status_code, refused.json()["code"]) == (412, "changed_meanwhile")
        assert refused.json()["etag"] == client.get(url)["ETag"]
        template.refresh_from_db()
        assert template.intended_use != "Mine"
        assert ChangeRecord.objects.count() == before

    def test_an_act_upon_what_is_no_more_is_refused_too(
        self, client: Client, alice: User, acme: Tenant
    ) -> None:
        template = make.template(tenant=acme)
        url = f"{TEMPLATES}{template.typeid}/"
        read = client.get(url)["ETag"]
        told(client, "patch", url, {"intended_use": "Changed", "reason": "better"})
        body = {"owners": ["alice"], "reason": "hers"}
        assert told(client, "post", f"{url}owners/", body, If_Match=read).status_code == 412
        assert told(client, "post", f"{url}owners/", body, If_Match="*").status_code == 200

    def test_a_genome_is_replaced_only_where_it_is_the_one_that_was_read(
        self, client: Client, alice: User, acme: Tenant
    ) -> None:
        version = make.version(template=make.template(tenant=acme))
        url = f"/api/v1/registry/versions/{version.typeid}/genome/"
        read = client.get(url)
        assert read["ETag"] == f'"{version.genome.digest}"'
        body = {"genome": example(template=version.template.typeid), "reason": "next"}
        assert told(client, "put", url, body, If_Match='"sha256:0"').status_code == 412
        assert told(client, "put", url, body, If_Match=read["ETag"]).status_code == 200
        assert told(client, "put", url, body, If_Match=read["ETag"]).status_code == 412
        assert told(client, "get", url, If_None_Match=client.get(url)["ETag"]).status_code == 304


class TestDoingOnce:
    def test_the_same_request_is_done_once_and_answered_the_same(self, client: Client, alice: User) -> None:
        first = told(client, "post", TEMPLATES, DESK, Idempotency_Key="a-key-of-mine")
        again = told(client, "post", TEMPLATES, DESK, Idempotency_Key="a-key-of-mine")
        assert (first.status_code, again.status_code) == (201, 201)
        assert "Idempotency-Replayed" not in first
        assert again["Idempotency-Replayed"] == "true"
        assert again.content == first.content
        assert (again["Location"], again["Content-Type"]) == (first["Location"], first["Content-Type"])
        assert AgentTemplate.objects.filter(slug=DESK["slug"]).count() == 1
        assert ChangeRecord.objects.filter(verb="registry.template.registered").count() == 1

    def test_a_key_names_one_request_only(self, client: Client, alice: User) -> None:
        told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        other = told(client, "post", TEMPLATES, {**DESK, "slug": "other"}, Idempotency_Key="k")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
        assert other.json()["errors"][0]["pointer"] == "/Idempotency-Key"
        assert not AgentTemplate.objects.filter(slug="other").exists()

    def test_a_refused_request_is_judged_anew(self, client: Client, alice: User) -> None:
        wrong = told(client, "post", TEMPLATES, {**DESK, "slug": "NO SLUG"}, Idempotency_Key="k")
        assert wrong.status_code == 422
        right = told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        assert right.status_code == 201

    @pytest.mark.parametrize("key", ["", "two words", "k" * 256, "schlüssel"])
    def test_a_key_that_is_none_is_refused(self, client: Client, alice: User, key: str) -> None:
        refused = told(client, "post", TEMPLATES, DESK, Idempotency_Key=key)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/Idempotency-Key")
        assert not AgentTemplate.objects.filter(slug=DESK["slug"]).exists()

    def test_keys_of_others_are_no_business_of_bob_s(self, client: Client, alice: User, acme: Tenant) -> None:
        told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        bob = make.everything(make.user("bob", member_of=acme), acme)
        client.force_login(bob)
        his = told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        assert his.status_code == 409  # the agent is there; he was not told what Alice was

    def test_who_lost_their_access_is_not_told_again(self, client: Client, alice: User) -> None:
        told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        Membership.objects.filter(user=alice).update(active=False)
        assert told(client, "post", TEMPLATES, DESK, Idempotency_Key="k").status_code == 404

    def test_who_lost_the_right_to_do_it_is_not_told_again(self, client: Client, acme: Tenant) -> None:
        bob = make.user("bob", member_of=acme)
        binding = make.grant(bob, acme, Right.CREATE_VERSION)
        client.force_login(bob)
        told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        assert told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")["Idempotency-Replayed"] == "true"
        end(binding, acme)
        refused = told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        assert (refused.status_code, refused.json()["right"]) == (403, "version_create")
        assert "Refund desk" not in refused.content.decode()
        make.grant(bob, acme, Right.CREATE_VERSION)
        assert told(client, "post", TEMPLATES, DESK, Idempotency_Key="k").status_code == 201

    def test_the_right_is_asked_of_the_very_row_as_it_is_now(self, client: Client, acme: Tenant) -> None:
        bob, template = make.user("bob", member_of=acme), make.template(tenant=acme, risk="low")
        make.grant(bob, acme, Right.READ_DIRECTORY)
        make.grant(bob, acme, Right.CREATE_VERSION, risk_max="low")
        client.force_login(bob)
        url, body = f"{TEMPLATES}{template.typeid}/", {"intended_use": "Refunds", "reason": "better"}
        assert told(client, "patch", url, body, Idempotency_Key="k").status_code == 200
        AgentTemplate.objects.update(risk="critical")
        assert told(client, "patch", url, body, Idempotency_Key="k").status_code == 403

    def test_what_is_no_longer_theirs_to_see_is_not_there_for_a_second_answer(
        self, client: Client, acme: Tenant
    ) -> None:
        bob, template = make.user("bob", member_of=acme), make.template(tenant=acme)
        sees = make.grant(bob, template, Right.READ_DIRECTORY)
        make.grant(bob, acme, Right.CREATE_VERSION)
        client.force_login(bob)
        url, body = f"{TEMPLATES}{template.typeid}/", {"intended_use": "Refunds", "reason": "better"}
        assert told(client, "patch", url, body, Idempotency_Key="k").status_code == 200
        end(sees, acme)
        assert told(client, "patch", url, body, Idempotency_Key="k").status_code == 404

    def test_many_rows_at_once_are_told_again_to_who_may_still_make_them(
        self, client: Client, acme: Tenant
    ) -> None:
        bob, version, provider = make.user("bob", member_of=acme), make.approved(), make.provider("local")
        dev, lab = make.environment("dev"), make.environment("lab")
        make.grant(bob, acme, Right.READ_DIRECTORY)
        bindings = [make.grant(bob, place, Right.PROVISION_INSTANCE) for place in (dev, lab)]
        client.force_login(bob)
        rows = [
            {
                "version": version.typeid,
                "environment": place.slug,
                "provider": provider.slug,
                "name": place.slug,
            }
            for place in (dev, lab)
        ]
        url, body = "/api/v1/registry/bulk/instances/", {"rows": rows, "reason": "more"}
        assert told(client, "post", url, body, Idempotency_Key="k").status_code == 201
        assert told(client, "post", url, body, Idempotency_Key="k").status_code == 201
        end(bindings[1], acme)
        assert told(client, "post", url, body, Idempotency_Key="k").status_code == 403

    def test_the_end_of_a_thing_is_told_again(self, client: Client, alice: User, acme: Tenant) -> None:
        url = f"/api/v1/views/{make.view(alice, tenant=acme).typeid}/end/"
        first = told(client, "post", url, {}, Idempotency_Key="k")
        again = told(client, "post", url, {}, Idempotency_Key="k")
        assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)

    def test_an_answer_of_which_nobody_knows_what_it_rests_on_is_not_given_again(
        self, client: Client, alice: User
    ) -> None:
        told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        IdempotentReply.objects.update(rests_on=None)  # kept by a version of ARM that noted nothing
        again = told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        assert (again.status_code, again.json()["code"]) == (409, "idempotency_shown_once")
        assert AgentTemplate.objects.count() == 1

    def test_a_secret_is_not_kept_for_a_second_answer(self, client: Client, alice: User) -> None:
        body = {"account": "service", "username": "robot", "reason": "a machine"}
        robot = told(client, "post", "/api/v1/people/members/", body).json()["id"]
        token = f"/api/v1/people/members/{robot}/token/"
        asked = {"name": "ci", "reason": "for the pipeline"}
        first = told(client, "post", token, asked, Idempotency_Key="k")
        assert first.json()["token"].startswith("arms_")
        assert IdempotentReply.objects.get().body is None
        again = told(client, "post", token, asked, Idempotency_Key="k")
        assert (again.status_code, again.json()["code"]) == (409, "idempotency_shown_once")
        assert robot  # one token, not two
        assert ChangeRecord.objects.filter(verb="arm.key.issued").count() == 1

    def test_a_day_later_a_key_is_new(self, client: Client, alice: User) -> None:
        told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
        IdempotentReply.objects.update(at=clock.now() - timedelta(hours=24, seconds=1))
        assert told(client, "post", TEMPLATES, DESK, Idempotency_Key="k").status_code == 409
        assert tidy() == "1 answers forgotten"
        assert not IdempotentReply.objects.exists()

    def test_an_import_of_a_file_happens_once(self, client: Client, alice: User) -> None:
        url = "/api/v1/registry/imports/genome/?reason=First+build&name=Desk"
        headers = {"Idempotency-Key": "k"}
        sent = [
            client.post(
                url, json.dumps(example(template=None)), content_type="application/json", headers=headers
            )
            for _ in range(2)
        ]
        assert [answer.status_code for answer in sent] == [201, 201]
        assert sent[0].content == sent[1].content
        assert AgentVersion.objects.count() == 1

    def test_a_file_of_a_form_is_imported_once_whatever_its_boundary(
        self, client: Client, alice: User
    ) -> None:
        url, data = "/api/v1/registry/imports/genome/", json.dumps(example(template=None)).encode()

        def send(data: bytes) -> Any:
            file = SimpleUploadedFile("genome.json", data, content_type="application/json")
            form = {"file": file, "reason": "First build", "name": "Desk"}
            return client.post(url, form, headers={"Idempotency-Key": "k"})

        first, again, other = send(data), send(data), send(data + b" ")
        assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
        assert again.content == first.content
        assert other.json()["code"] == "idempotency_mismatch"
        assert AgentVersion.objects.count() == 1


ELSEWHERE = {"Heartbeat", "Simulate"}
"""What an instance says of itself with its own token comes again each minute; the simulator stores nothing."""


def test_the_answer_about_a_view_is_not_given_again_to_who_may_no_longer_open_the_list(
    client: Client, acme: Tenant
) -> None:
    bob = make.user("bob", member_of=acme)
    held = make.grant(bob, make.template(tenant=acme), Right.READ_DIRECTORY)
    client.force_login(bob)
    body = {"list": "registry:template_list", "name": "Mine", "query": "risk=high"}
    made = told(client, "post", "/api/v1/views/", body, Idempotency_Key="view-1")
    again = told(client, "post", "/api/v1/views/", body, Idempotency_Key="view-1")
    assert made.status_code == 201 and (again.status_code, again.content) == (201, made.content)
    end(held, acme)
    lost = told(client, "post", "/api/v1/views/", body, Idempotency_Key="view-1")
    assert lost.status_code == 403 and "Mine" not in lost.content.decode()
    make.grant(bob, make.template(tenant=acme), Right.READ_DIRECTORY)
    back = told(client, "post", "/api/v1/views/", body, Idempotency_Key="view-1")
    assert (back.status_code, back.content) == (201, made.content), (
        "held elsewhere, it opens the list as well"
    )


def test_what_was_done_to_a_shared_view_of_another_is_not_told_again_after_the_list_is_closed(
    client: Client, acme: Tenant
) -> None:
    vera = make.everything(make.user("vera", member_of=acme), acme)
    view = make.view(vera, shared=True, name="Of all")
    bob = make.user("bob", member_of=acme)
    held = make.grant(bob, make.template(tenant=acme), Right.READ_DIRECTORY)
    client.force_login(bob)
    url = f"/api/v1/views/{view.typeid}/default/"
    made = told(client, "post", url, {"default": True}, Idempotency_Key="view-2")
    assert made.status_code == 200 and b"Of all" in made.content
    end(held, acme)
    assert told(client, "post", url, {"default": True}, Idempotency_Key="view-2").status_code == 404
    services.delete_view(view=view, actor=vera, reason="over")
    gone = told(client, "post", url, {"default": True}, Idempotency_Key="view-2")
    assert gone.status_code == 403 and b"Of all" not in gone.content


def test_every_endpoint_that_writes_takes_a_key() -> None:
    missing = set()
    for path, callback in routes():
        view = getattr(callback, "cls", None)
        if view is None or not path.startswith("/api/"):
            continue
        writes = {"post", "put", "patch", "delete"} & (set(getattr(callback, "actions", None) or dir(view)))
        if writes and not issubclass(view, Endpoint) and view.__name__ not in ELSEWHERE:
            missing.add(view.__name__)
    assert not missing


def test_the_document_of_the_api_tells_of_both(client: Client) -> None:
    document = client.get("/api/schema?format=json").json()

    def named(method: str, path: str) -> set[str]:
        given = document["paths"][path][method].get("parameters", [])
        return {one["name"] for one in given if one["in"] == "header"}

    assert named("post", TEMPLATES) == {"Idempotency-Key"}
    assert named("patch", f"{TEMPLATES}{{id}}/") == {"Idempotency-Key", "If-Match"}
    assert named("get", TEMPLATES) == set()


@pytest.mark.parametrize(
    "question",
    ["roles/{rol}/check/?environment=%00&version={ver}", "versions/{ver}/export/?format=genome&server=%00"],
)
def test_what_no_text_can_hold_is_refused_or_left_out_and_never_a_500(
    client: Client, alice: User, acme: Tenant, question: str
) -> None:
    rows = make.one_of_each(acme)
    named = {kind: rows[kind].typeid for kind in ("rol", "ver")}
    answer = client.get("/api/v1/registry/" + question.format(**named))
    assert answer.status_code in {200, 422}, answer.content
