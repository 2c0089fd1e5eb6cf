"""Two who make something of the same name at the same moment: one of them gets it, the other is told, nobody a 500."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections, transaction
from django.test import Client

from arm import db, services
from arm.ids import uuid7
from arm.models import ChangeRecord, Team, Tenant, User
from registry.models import AgentTemplate
from registry.services import register_template
from tests import make
from tests.arm.test_asking_again import DESK, TEMPLATES, told
from tests.processes.product import wait_for

pytestmark = pytest.mark.usefixtures("committed")

REASON = "two had the same idea"


@pytest.fixture
def alice():
    tenant = make.tenant(f"t{uuid7().hex[-12:]}")
    person = make.user(f"alice-{tenant.slug}", member_of=tenant)
    return make.everything(person, tenant)


def tenant_of(person: User) -> Tenant:
    return Tenant.objects.get(pk=db.tenants_of(person.pk)[0])


WAITING = """
SELECT count(*) FROM pg_locks w WHERE NOT w.granted AND w.locktype = 'transactionid' AND EXISTS (
  SELECT FROM pg_locks held JOIN pg_database d ON d.oid = held.database
  WHERE held.pid = w.pid AND d.datname = current_database())
"""


def waiting() -> bool:
    """Whether a statement of this database waits for another transaction to end."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(WAITING)
        return bool(cursor.fetchone()[0])


def asked(alice: User, path: str, body: dict[str, Any]) -> Any:
    """What Alice is answered, in a thread and on a connection of its own."""
    try:
        client = Client(raise_request_exception=False)
        client.force_login(alice)
        kind = {"content_type": "application/json"} if path.startswith("/api/") else {}
        return client.post(path, body, **kind)
    finally:
        connections.close_all()


def second(alice: User, tenant: Tenant, make_first: Any, path: str, body: dict[str, Any]) -> Any:
    """The answer to a request that came while another transaction had made the same and was not committed yet."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            db.set_tenants([tenant.pk])
            make_first()
            answer: Future[Any] = pool.submit(asked, alice, path, body)
            wait_for(waiting)
        return answer.result(30)


@pytest.mark.parametrize("path", ["/api/v1/people/teams/", "/people/teams/add/"])
def test_the_second_of_two_equal_teams_is_told_what_is_taken(alice, path: str) -> None:
    tenant = tenant_of(alice)

    def first() -> None:
        services.create_team(tenant=tenant, name="red", members=[], actor=alice, reason=REASON)

    answer = second(alice, tenant, first, path, {"name": "red", "members": [], "reason": REASON})
    assert answer.status_code == 409, answer.content
    assert b"Somebody has just stored the same" in answer.content
    if path.startswith("/api/"):
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["errors"][0]["code"] == "unique"
    with db.tenants([tenant.pk]):
        assert Team.objects.filter(tenant=tenant).count() == 1
        assert ChangeRecord.objects.filter(verb="arm.team.created").count() == 1


@pytest.mark.parametrize("path", ["/api/v1/people/members/", "/people/add/"])
def test_the_second_of_two_accounts_of_one_name_is_told(alice, path: str) -> None:
    tenant, name = tenant_of(alice), f"bob-{uuid7().hex[-12:]}"
    account = services.Account(
        username=name, first_name="", last_name="", email="", kind=User.Kind.PERSON.value
    )

    def first() -> None:
        services.add_new_member(tenant=tenant, account=account, actor=alice, reason=REASON)

    answer = second(alice, tenant, first, path, {"account": "person", "username": name, "reason": REASON})
    assert answer.status_code == 409, answer.content
    assert b"Somebody has just stored the same username" in answer.content
    assert User.objects.filter(username=name).count() == 1


def test_the_second_of_two_templates_of_one_slug_is_answered_with_the_first(alice) -> None:
    tenant = tenant_of(alice)

    def first() -> None:
        register_template(tenant=tenant, slug="support", name="Support", actor=alice, reason=REASON)

    body = {"slug": "support", "name": "Another", "reason": REASON}
    answer = second(alice, tenant, first, "/api/v1/registry/templates/", body)
    with db.tenants([tenant.pk]):
        stored = AgentTemplate.objects.get(tenant=tenant)
    assert stored.name == "Support"
    assert answer.status_code == 409
    assert (answer.json()["code"], answer.json()["id"]) == ("duplicate", stored.typeid)


class TestTwoAtOnce:
    def test_of_two_with_one_key_one_is_done_and_the_other_told_to_wait(self) -> None:
        tenant = make.tenant(f"t{uuid7().hex[-12:]}")
        alice = make.everything(make.user(f"alice-{tenant.slug}", member_of=tenant), tenant)

        def ask(_: int) -> Any:
            try:
                client = Client()
                client.force_login(alice)
                return told(client, "post", TEMPLATES, DESK, Idempotency_Key="k")
            finally:
                connections.close_all()

        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(ask, range(6)))
        told_so = {
            (answer.status_code, answer.json().get("code", ""))
            for answer in answers
            if answer.status_code != 201
        }
        assert told_so <= {(409, "idempotency_in_progress")}
        done = [answer for answer in answers if answer.status_code == 201]
        assert len([answer for answer in done if "Idempotency-Replayed" not in answer]) == 1
        with db.tenants([tenant.pk]):
            assert AgentTemplate.objects.filter(slug=DESK["slug"]).count() == 1

    def test_of_two_edits_of_what_both_read_one_is_refused(self) -> None:
        tenant = make.tenant(f"t{uuid7().hex[-12:]}")
        alice = make.everything(make.user(f"alice-{tenant.slug}", member_of=tenant), tenant)
        url = f"{TEMPLATES}{make.template(tenant=tenant).typeid}/"
        client = Client()
        client.force_login(alice)
        read = client.get(url)["ETag"]

        def edit(purpose: str) -> int:
            try:
                mine = Client()
                mine.force_login(alice)
                return int(
                    told(
                        mine, "patch", url, {"intended_use": purpose, "reason": REASON}, If_Match=read
                    ).status_code
                )
            finally:
                connections.close_all()

        with ThreadPoolExecutor(4) as pool:
            ends: list[Future[int]] = [pool.submit(edit, f"purpose {n}") for n in range(4)]
        assert sorted(end.result() for end in ends) == [200, 412, 412, 412]
