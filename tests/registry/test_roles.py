"""A role says in full what it asks; what makes no sense is refused by its pointer, what changes is on the record."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from django.urls import reverse

from arm.errors import Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right, Risk
from registry import services, staffing
from registry.models import RoleDefinition
from tests import make

pytestmark = pytest.mark.django_db

FULL = {
    "capabilities": [{"name": "refunds", "least": 80}, {"name": "german", "least": 60}],
    "certifications": ["pci"],
    "budget_per_day": Decimal(40),
    "budget_per_month": Decimal(900),
    "budget_per_outcome": Decimal("0.35"),
    "currency": "EUR",
    "success_rate": Decimal("98.5"),
    "latency_ms": 2000,
    "availability": Decimal("99.9"),
    "coverage": [{"environment": "prod", "least": 2}],
    "failover": True,
}


@pytest.fixture
def acme():
    tenant = make.tenant("acme")
    make.environment("prod", name="Production")
    return tenant


@pytest.fixture
def alice(acme):
    return make.everything(make.user("alice", member_of=acme), acme)


def define(acme, alice, slug="refund-clerk", **asks):
    return services.create_role(tenant=acme, slug=slug, name="Refund clerk", actor=alice, reason="r", **asks)


def test_a_role_keeps_all_that_it_asks(acme, alice):
    role = RoleDefinition.objects.get(pk=define(acme, alice, risk=Risk.HIGH, tier=3, **FULL).pk)
    assert role.needs == {"german": 60, "refunds": 80}, "in one order, however it was typed"
    assert (role.budget_per_outcome, role.currency) == (Decimal("0.35"), "EUR")
    assert (role.success_rate, role.latency_ms, role.availability) == (
        Decimal("98.5"),
        2000,
        Decimal("99.9"),
    )
    assert (role.covers, role.failover, role.certifications) == ({"prod": 2}, True, ["pci"])
    record = ChangeRecord.objects.get(verb="registry.role.created")
    assert record.after["budget_per_day"] == "40" and record.after["revision"] == 1


@pytest.mark.parametrize(
    ("asks", "pointers"),
    [
        ({"capabilities": [{"name": "Refunds!", "least": 80}]}, ["/capabilities/0/name"]),
        ({"capabilities": [{"name": "refunds", "least": 101}]}, ["/capabilities/0/least"]),
        ({"capabilities": [{"name": "a", "least": 1}, {"name": "a", "least": 2}]}, ["/capabilities/1/name"]),
        ({"capabilities": [{"name": "refunds"}]}, ["/capabilities/0"]),
        ({"capabilities": "refunds"}, ["/capabilities"]),
        ({"certifications": ["pci", "pci", ""]}, ["/certifications/1", "/certifications/2"]),
        ({"coverage": [{"environment": "moon", "least": 1}]}, ["/coverage/0/environment"]),
        ({"coverage": [{"environment": "prod", "least": 0}]}, ["/coverage/0/least"]),
        ({"budget_per_day": Decimal(-1)}, ["/budget_per_day"]),
        ({"budget_per_day": Decimal("NaN")}, ["/budget_per_day"]),
        ({"budget_per_day": Decimal(50), "budget_per_month": Decimal(40)}, ["/budget_per_day"]),
        ({"budget_per_day": Decimal(50), "currency": "euro"}, ["/currency"]),
        ({"success_rate": Decimal(0), "availability": Decimal(101)}, ["/success_rate", "/availability"]),
        ({"latency_ms": 0}, ["/latency_ms"]),
        ({"tier": 6, "latency_ms": True}, ["/tier", "/latency_ms"]),
    ],
)
def test_what_no_role_can_ask_is_refused_by_its_pointer(acme, alice, asks, pointers):
    with pytest.raises(Invalid) as refused:
        define(acme, alice, **asks)
    assert [problem["pointer"] for problem in refused.value.errors] == pointers
    assert not RoleDefinition.objects.exists()


def test_everything_wrong_is_named_at_once(acme, alice):
    with pytest.raises(Invalid) as refused:
        define(
            acme, alice, certifications=["?"], latency_ms=-1, coverage=[{"environment": "moon", "least": 0}]
        )
    assert len(refused.value.errors) == 4


def test_a_budget_without_a_currency_is_in_the_tenants(acme, alice):
    acme.currency = "CHF"
    acme.save(update_fields=["currency"])
    assert define(acme, alice, budget_per_day=Decimal(5)).currency == "CHF"


def test_a_change_says_before_and_after_and_raises_the_revision(acme, alice):
    role = define(acme, alice, **FULL)
    changed = services.update_role(
        role=role, actor=alice, reason="Too low", capabilities=[{"name": "refunds", "least": 90}]
    )
    assert (changed.revision, changed.needs) == (2, {"refunds": 90})
    record = ChangeRecord.objects.get(verb="registry.role.updated")
    assert {row["name"] for row in record.before["capabilities"]} == {"german", "refunds"}
    assert record.after == {"capabilities": [{"name": "refunds", "least": 90}], "revision": 2}
    assert record.reason == "Too low"


def test_saying_the_same_changes_nothing(acme, alice):
    role = define(acme, alice, **FULL)
    again = services.update_role(role=role, actor=alice, reason="r", capabilities=FULL["capabilities"][::-1])
    assert again.revision == 1 and not ChangeRecord.objects.filter(verb="registry.role.updated").exists()


def test_a_change_is_judged_with_what_stays(acme, alice):
    role = define(acme, alice, **FULL)
    with pytest.raises(Invalid, match="cannot ask"):
        services.update_role(role=role, actor=alice, reason="r", budget_per_month=Decimal(10))
    cheap = services.update_role(
        role=role,
        actor=alice,
        reason="r",
        budget_per_day=None,
        budget_per_month=None,
        budget_per_outcome=None,
    )
    assert cheap.currency == "", "without a budget there is no currency"


def test_only_who_manages_the_directory_defines_and_changes_roles(acme, alice):
    role = define(acme, alice)
    mallory = make.user("mallory", member_of=acme)
    make.grant(mallory, acme, Right.READ_DIRECTORY, Right.PROMOTE_RELEASE)
    with pytest.raises(NotAllowed):
        define(acme, mallory, slug="mine")
    with pytest.raises(NotAllowed):
        services.update_role(role=role, actor=mallory, reason="r", tier=5)


def test_the_database_keeps_slugs_and_refuses_nonsense(acme, alice):
    role = define(acme, alice)
    for change in ({"slug": "other"}, {"budget_per_day": -1}, {"success_rate": 101}, {"budget_per_day": 1}):
        with pytest.raises(DatabaseError), transaction.atomic():
            RoleDefinition.objects.filter(pk=role.pk).update(**change)


def test_a_score_is_never_rounded_up_to_a_threshold():
    assert staffing.score(799, 1000) == Decimal("79.9")
    assert staffing.score(2, 3) == Decimal("66.6")
    assert staffing.score(0, 0) == 0


# pages and API


def test_the_form_defines_a_role_and_shows_it_again(client, acme, alice):
    client.force_login(alice)
    asked = {
        "name": "Refund clerk",
        "slug": "refund-clerk",
        "tier": 3,
        "risk": "high",
        "capabilities": "refunds 80\n\ngerman 60 %",
        "certifications": "pci, iso-42001",
        "budget_per_day": "40.50",
        "currency": "eur",
        "coverage": "prod 2",
        "failover": "on",
        "reason": "Needed",
    }
    answer = client.post(reverse("registry:role_create"), asked, follow=True)
    page = answer.content.decode()
    role = RoleDefinition.objects.get()
    assert answer.redirect_chain[-1][0] == role.get_absolute_url()
    for words in ("refunds at least 80 %", "40.50", "Lacks 2 of 2"):
        assert words in page
    form = client.get(reverse("registry:role_edit", args=[role.typeid])).context["form"]
    again = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    sent = {name: "" if value is None else value for name, value in again.items()} | {"reason": "Same"}
    client.post(reverse("registry:role_edit", args=[role.typeid]), sent)
    role.refresh_from_db()
    assert role.revision == 1, "what the form shows is what is there"


def test_the_form_says_what_is_wrong_and_keeps_what_was_typed(client, acme, alice):
    client.force_login(alice)
    asked = {"name": "X", "slug": "x", "tier": 3, "risk": "low", "coverage": "moon 2", "reason": "r"}
    answer = client.post(reverse("registry:role_create"), asked)
    assert answer.status_code == 422 and "no environment “moon”" in answer.content.decode()
    assert "moon 2" in answer.content.decode()
    answer = client.post(reverse("registry:role_create"), asked | {"coverage": "two in prod"})
    assert "is not a short name and a whole number" in answer.content.decode()
    assert not RoleDefinition.objects.exists()


API = "/api/v1/registry/roles/"


def test_a_machine_defines_changes_and_reads_a_role(client, acme, alice):
    client.force_login(alice)

    def send(method, path, body):
        return getattr(client, method)(path, body, content_type="application/json")

    asks = {"capabilities": [{"name": "refunds", "least": 80}], "budget_per_day": "40", "currency": "EUR"}
    made = send("post", API, {"slug": "clerk", "name": "Clerk", "reason": "r", **asks})
    assert made.status_code == 201, made.content
    assert made.json()["capabilities"] == asks["capabilities"]
    changed = send("patch", made.json()["url"], {"latency_ms": 900, "reason": "Faster"})
    assert (changed.json()["latency_ms"], changed.json()["revision"]) == (900, 2)
    assert Decimal(changed.json()["budget_per_day"]) == 40
    wrong = send("patch", made.json()["url"], {"certifications": ["No!"], "availability": "0", "reason": "r"})
    assert wrong.status_code == 422
    assert [e["pointer"] for e in wrong.json()["errors"]] == ["/certifications/0", "/availability"]
    assert send("patch", made.json()["url"], {"slug": "other", "reason": "r"}).status_code == 422
    everything = {
        "slug": "desk", "name": "", "tier": 9, "risk": "x", "budget_per_day": "-1", "success_rate": "101",
        "latency_ms": 0, "certifications": ["a", "a"], "capabilities": [{"name": "A", "least": 101}],
        "coverage": [{"environment": "zz", "least": 0}], "bogus": 1, "reason": "r",
    }  # fmt: skip
    said = {error["pointer"] for error in send("post", API, everything).json()["errors"]}
    assert said >= {
        *("/name", "/tier", "/risk", "/budget_per_day", "/success_rate", "/latency_ms", "/certifications/1"),
        *(
            "/capabilities/0/name",
            "/capabilities/0/least",
            "/coverage/0/environment",
            "/coverage/0/least",
            "/bogus",
        ),
    }, said


def test_the_admin_changes_a_role_through_the_service(client, acme, alice):
    role = define(acme, alice)
    client.force_login(alice)
    page = client.get(reverse("admin:registry_roledefinition_change", args=[role.pk]))
    fields = page.context["adminform"].form
    sent = {name: fields.get_initial_for_field(field, name) for name, field in fields.fields.items()}
    sent = {name: "" if value is None else value for name, value in sent.items()}
    sent |= {"capabilities": '[{"name": "refunds", "least": 70}]', "certifications": "[]", "coverage": "[]"}
    inlines = {f"assignments-{part}": "0" for part in ("TOTAL_FORMS", "INITIAL_FORMS")}
    client.post(
        reverse("admin:registry_roledefinition_change", args=[role.pk]),
        {**{k: v for k, v in sent.items() if v is not False}, "reason": "By the admin", **inlines},
    )
    role.refresh_from_db()
    assert role.needs == {"refunds": 70}
    assert ChangeRecord.objects.get(verb="registry.role.updated").reason == "By the admin"
