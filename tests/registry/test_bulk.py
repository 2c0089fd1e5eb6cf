"""Many rows at once: every wrong one is named, all are stored or none, and each has its change record."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from arm.errors import Invalid, NotAllowed, TooLarge
from arm.models import ChangeRecord, Tenant, User
from arm.rights import Right, Risk
from registry import services
from registry.lifecycle import VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    Environment,
    InstanceInterval,
    InstanceStatus,
    Provider,
)
from registry.protocol import rows
from tests import make

pytestmark = pytest.mark.django_db
API = "/api/v1/registry/bulk/"


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def alice(acme: Tenant) -> User:
    return make.everything(make.user("alice", member_of=acme), acme)


@pytest.fixture
def version(acme: Tenant) -> AgentVersion:
    made = make.approved(template=make.template("invoices", cost_center="CC-1"))
    make.environment("dev")
    make.provider("local")
    return made


@pytest.fixture
def page(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def row(**members: Any) -> dict[str, Any]:
    return {"version": "invoices@1", "environment": "dev", "provider": "local", "name": "i"} | members


def provision(tenant: Tenant, actor: User, given: list[Any], **kw: Any) -> list[AgentInstance]:
    read = rows.read_instances(given)
    assert read.problems == []
    return services.provision_instances(tenant=tenant, rows=read.rows, actor=actor, reason="a fleet", **kw)


def post(page: Client, noun: str, given: Any, **members: Any) -> Any:
    body = {"rows": given, "reason": "a fleet"} | members
    return page.post(f"{API}{noun}/", body, content_type="application/json")


def test_each_row_becomes_what_one_at_a_time_makes_of_it(
    acme: Tenant, alice: User, version: AgentVersion
) -> None:
    role = make.role("clerk", cost_center="CC-2")
    single = services.provision_instance(
        version=version, environment=Environment.objects.get(), provider=Provider.objects.get(),
        name="single", role=role, labels={"a": "b"}, actor=alice, reason="one",
    )  # fmt: skip
    (many,) = provision(
        acme, alice, [row(version=version.typeid, name="many", role="clerk", labels={"a": "b"})]
    )
    both = AgentInstance.objects.filter(pk__in=[single.pk, many.pk])
    for name in (
        "state",
        "cost_center",
        "labels",
        "version_id",
        "template_id",
        "role_id",
        "generation",
        "slot_id",
    ):
        assert len({str(getattr(one, name)) for one in both}) == 1, name
    assert InstanceStatus.objects.count() == 2
    first, second = InstanceInterval.objects.order_by("pk")
    assert (first.state, first.until, second.since == second.known_from) == (second.state, None, True)
    one, two = ChangeRecord.objects.filter(verb="registry.instance.provisioned").order_by("at")
    assert (one.after, one.actor_id) == (two.after, two.actor_id) and two.target_id == many.pk


def test_a_thousand_rows_are_few_statements_and_a_record_each(
    acme: Tenant, alice: User, version: AgentVersion
) -> None:
    with CaptureQueriesContext(connection) as captured:
        made = provision(acme, alice, [row(name=f"i-{n}") for n in range(1000)])
    assert len(made) == AgentInstance.objects.count() == 1000
    assert ChangeRecord.objects.filter(verb="registry.instance.provisioned").count() == 1000
    assert len(captured) < 40


def test_one_wrong_row_of_many_is_named_and_none_is_stored(page: Client, version: AgentVersion) -> None:
    answer = post(
        page, "instances", [row(), row(environment="moon"), row(role="nobody", provider="x"), row()]
    )
    assert answer.status_code == 422
    assert {p["pointer"] for p in answer.json()["errors"]} == {
        "/rows/1/environment", "/rows/2/provider", "/rows/2/role",
    }  # fmt: skip
    assert (answer.json()["wrong_rows"], AgentInstance.objects.count()) == (2, 0)


@pytest.mark.parametrize(
    ("given", "pointers"),
    [
        ([7, "x"], {"/rows/0", "/rows/1"}),
        ([row(colour="red")], {"/rows/0/colour"}),
        ([row(version="invoices")], {"/rows/0/version"}),
        ([row(name="x" * 161)], {"/rows/0/name"}),
        ([row(name=7)], {"/rows/0/name"}),
        ([row(environment="a b")], {"/rows/0/environment"}),
        ([row(labels={"a": 1})], {"/rows/0/labels"}),
        ([row(labels=[])], {"/rows/0/labels"}),
        ([], {"/rows"}),
        ({}, {"/rows"}),
    ],
)
def test_a_row_that_is_wrong_in_itself_is_named(
    page: Client, version: AgentVersion, given: Any, pointers: set[str]
) -> None:
    answer = post(page, "instances", given)
    assert answer.status_code == 422
    assert {p["pointer"] for p in answer.json()["errors"]} == pointers
    assert not AgentInstance.objects.exists()


def test_bad_json_is_refused_at_its_place(page: Client, version: AgentVersion) -> None:
    for body, pointer in (
        ('{"reason": "x", "rows": [{"name": NaN}]}', "/rows/0/name"),
        ('{"reason": "x", "rows": [{"name": "a", "name": "b"}]}', "/rows/0/name"),
        ('{"reason": "x", "rows": [{"name": 9007199254740993}]}', "/rows/0/name"),
        ('{"reason": "x", "rows": [{"name": "\\ud800"}]}', "/rows/0/name"),
    ):
        answer = page.post(f"{API}instances/", body, content_type="application/json")
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_a_dry_run_says_what_would_happen_and_stores_nothing(page: Client, version: AgentVersion) -> None:
    answer = post(page, "instances", [row(), row()], dry_run=True)
    assert (answer.status_code, answer.json()) == (
        200, {"stored": False, "created": 2, "updated": 0, "same": 0, "ids": []},
    )  # fmt: skip
    assert not AgentInstance.objects.exists() and not ChangeRecord.objects.exists()
    made = post(page, "instances", [row(), row()])
    assert made.status_code == 201
    assert set(made.json()["ids"]) == {one.typeid for one in AgentInstance.objects.all()}


def test_more_rows_than_one_request_takes_are_refused_whole(
    acme: Tenant, alice: User, version: AgentVersion, page: Client
) -> None:
    assert post(page, "instances", [row()] * 10_001).status_code == 413
    with pytest.raises(TooLarge):
        provision(acme, alice, [row()] * 10_001)


def test_a_version_that_is_retired_provisions_nothing(page: Client, version: AgentVersion) -> None:
    AgentVersion.objects.update(state=VersionState.RETIRED)
    answer = post(page, "instances", [row()])
    assert [(p["pointer"], p["code"]) for p in answer.json()["errors"]] == [("/rows/0/version", "conflict")]


@pytest.fixture
def slot(version: AgentVersion) -> Any:
    return make.slot(
        environment=Environment.objects.get(),
        role=make.role("clerk"),
        provider=Provider.objects.get(),
    )


def test_a_row_names_its_slot_by_its_identifier_or_by_its_number_with_the_role(
    acme: Tenant, alice: User, version: AgentVersion, slot: Any
) -> None:
    made = provision(
        acme,
        alice,
        [row(slot=slot.typeid), row(role="clerk", slot="1"), row(role="clerk", slot=1), row(slot=""), row()],
    )
    assert [one.slot for one in made] == [slot, slot, slot, None, None]
    assert [one.role for one in made] == [slot.role, slot.role, slot.role, None, None]
    assert AgentInstance.objects.filter(slot=slot).count() == 3
    told = {
        one.target_id: one.after["slot"]
        for one in ChangeRecord.objects.filter(verb="registry.instance.provisioned")
    }
    assert [told[one.pk] for one in made] == [slot.typeid] * 3 + ["", ""]


def test_a_slot_that_is_not_there_or_elsewhere_is_named_row_by_row(
    page: Client, acme: Tenant, version: AgentVersion, slot: Any
) -> None:
    other = make.slot(environment=make.environment("prod"), role=slot.role, provider=slot.provider)
    unread = post(
        page, "instances", [row(slot="first"), row(slot=True), row(slot="1"), row(slot=slot.typeid)]
    ).json()
    assert [(p["pointer"], p["code"]) for p in unread["errors"]] == [
        ("/rows/0/slot", "pattern"), ("/rows/1/slot", "pattern"), ("/rows/2/role", "required"),
    ]  # fmt: skip
    answer = post(
        page, "instances", [row(slot=other.typeid), row(role="clerk", slot=7), row(slot=slot.typeid)]
    )
    assert (answer.status_code, [(p["pointer"], p["code"]) for p in answer.json()["errors"]]) == (
        422,
        [("/rows/0/slot", "place"), ("/rows/1/slot", "unknown")],
    )
    assert not AgentInstance.objects.exists()


def test_a_slot_that_one_may_not_see_is_no_slot(acme: Tenant, version: AgentVersion, slot: Any) -> None:
    bob = make.user("bob", member_of=acme)
    make.grant(bob, version.template, Right.READ_DIRECTORY, Right.PROVISION_INSTANCE)
    make.grant(bob, slot.environment, Right.READ_DIRECTORY)
    make.grant(bob, slot.provider, Right.READ_DIRECTORY)
    hidden = make.slot(environment=make.environment("secret"), role=slot.role, provider=make.provider("far"))
    assert provision(acme, bob, [row(slot=slot.typeid)])[0].slot == slot
    with pytest.raises(Invalid) as refused:
        provision(acme, bob, [row(slot=hidden.typeid)])
    assert [(p["pointer"], p["code"]) for p in refused.value.errors] == [("/rows/0/slot", "unknown")]


def test_rights_count_scope_by_scope(acme: Tenant, version: AgentVersion) -> None:
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    with pytest.raises(NotAllowed):
        provision(acme, bob, [row()])
    make.environment("prod")
    make.grant(bob, Environment.objects.get(slug="dev"), Right.PROVISION_INSTANCE)
    assert len(provision(acme, bob, [row()])) == 1
    with pytest.raises(NotAllowed) as refused:
        provision(acme, bob, [row(), row(environment="prod")])
    assert [p["pointer"] for p in refused.value.extra["errors"]] == ["/rows/1"]  # type: ignore[attr-defined]
    assert AgentInstance.objects.count() == 1


def test_a_limited_right_reaches_no_agent_beyond_its_risk(acme: Tenant, version: AgentVersion) -> None:
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    make.grant(bob, acme, Right.PROVISION_INSTANCE, risk_max=Risk.LOW)
    AgentTemplate.objects.update(risk=Risk.HIGH)
    with pytest.raises(NotAllowed):
        provision(acme, bob, [row()])
    AgentTemplate.objects.update(risk=Risk.LOW)
    assert len(provision(acme, bob, [row()])) == 1


def test_rows_of_another_tenant_do_not_exist(version: AgentVersion, page: Client) -> None:
    other = make.tenant("other")
    theirs = make.approved(template=make.template("theirs", tenant=other))
    answer = post(page, "instances", [row(version=theirs.typeid), row(version="theirs@1")])
    assert [p["pointer"] for p in answer.json()["errors"]] == ["/rows/0/version", "/rows/1/version"]


# --- templates -----------------------------------------------------------------------------------------------


def test_agents_are_registered_in_bulk_with_owners_and_a_record_each(page: Client, acme: Tenant) -> None:
    make.user("bob", member_of=acme)
    given = [
        {"slug": "a", "name": "A", "risk": "high", "tags": ["X", "x"], "owners": ["bob"]},
        {"slug": "b", "name": "B"},
    ]
    answer = post(page, "templates", given)
    assert answer.status_code == 201 and answer.json()["created"] == 2
    a, b = AgentTemplate.objects.order_by("slug")
    assert (a.risk, a.tags, a.ownerships.get().user.username) == ("high", ["x"], "bob")
    assert (b.risk, b.ownerships.get().user.username) == ("medium", "alice")
    records = ChangeRecord.objects.filter(verb="registry.template.registered")
    assert {record.after["slug"]: record.after["owners"] for record in records} == {
        "a": ["bob"],
        "b": ["alice"],
    }


def test_a_taken_short_name_is_refused_unless_agents_are_to_be_changed(page: Client, acme: Tenant) -> None:
    held = make.template("a", name="A", description="old")
    given = [{"slug": "a", "name": "A", "description": "new", "risk": "low"}, {"slug": "b", "name": "B"}]
    refused = post(page, "templates", given)
    assert [p["pointer"] for p in refused.json()["errors"]] == ["/rows/0/slug"]
    assert AgentTemplate.objects.count() == 1
    done = post(page, "templates", given, update=True).json()
    assert (done["created"], done["updated"], done["same"]) == (1, 1, 0)
    held.refresh_from_db()
    assert (held.description, held.risk) == ("new", "low")
    again = post(page, "templates", given, update=True).json()
    assert (again["created"], again["updated"], again["same"]) == (0, 0, 2)


def test_changing_a_risk_class_takes_the_right_to_manage_the_directory(acme: Tenant) -> None:
    make.template("a", name="A")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY, Right.CREATE_VERSION)
    read = rows.read_templates([{"slug": "a", "name": "A", "risk": "low"}])
    with pytest.raises(NotAllowed):
        services.register_templates(tenant=acme, rows=read.rows, actor=bob, reason="x", update=True)
    read = rows.read_templates([{"slug": "a", "name": "Better"}])
    done = services.register_templates(tenant=acme, rows=read.rows, actor=bob, reason="x", update=True)
    assert done.outcomes == {0: "update"}


def test_an_agent_that_one_may_not_see_is_not_shown_by_changing_it(acme: Tenant) -> None:
    make.template("secret", name="Secret")
    bob = make.user("bob", member_of=acme)
    other = make.template("other")
    make.grant(bob, other, Right.READ_DIRECTORY, Right.CREATE_VERSION)
    read = rows.read_templates([{"slug": "secret", "name": "Secret"}])
    with pytest.raises(NotAllowed):
        services.register_templates(tenant=acme, rows=read.rows, actor=bob, reason="x", update=True)


def test_wrong_agents_are_named_row_by_row(page: Client, acme: Tenant) -> None:
    given = [
        {"slug": "a", "name": ""},
        {"slug": "b!", "name": "B"},
        {"slug": "c", "name": "C", "risk": "none", "tags": "x", "owners": ["nobody"]},
        {"slug": "d", "name": "D"},
        {"slug": "d", "name": "D"},
    ]
    answer = post(page, "templates", given)
    assert {p["pointer"] for p in answer.json()["errors"]} == {
        "/rows/0/name", "/rows/1/slug", "/rows/2/risk", "/rows/2/tags", "/rows/4/slug",
    }  # fmt: skip
    unknown = post(page, "templates", [{"slug": "c", "name": "C", "owners": ["nobody"]}])
    assert [p["pointer"] for p in unknown.json()["errors"]] == ["/rows/0/owners"]
    assert not AgentTemplate.objects.exists()
