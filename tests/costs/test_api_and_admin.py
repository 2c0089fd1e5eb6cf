"""Costs for machines and in the admin: the same figures, the same rights."""

import pytest

from arm import services as core
from arm.models import ApiKey
from arm.rights import Right
from costs.models import Cap, CostModel
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def prod(tenant):
    return make.instance(environment=make.environment("prod"))


@pytest.fixture
def ask(client, tenant):
    """Ivan's service token in hand: FinOps of the tenant."""
    ivan = make.user("ivan", member_of=tenant)
    make.grant(ivan, tenant, Right.READ_LEDGER, Right.READ_DIRECTORY, Right.SET_BUDGET)
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=ivan)

    def call(method, path, body=None, status=200):
        headers = {"Authorization": f"Bearer {token}"}
        answer = getattr(client, method)(
            f"/api/v1/costs/{path}", data=body, content_type="application/json", headers=headers
        )
        assert answer.status_code == status, answer.content
        return answer.json()

    return call


def test_spend_is_answered_by_tag_with_what_is_not_known(ask, prod):
    make.entry(prod, "0.0040", model="gpt-4o", job="j1")
    make.entry(prod, "0.0010", model="claude")
    for path in ("spend?group_by=model", "spend/?group_by=model"):
        body = ask("get", path)
        assert float(body["total"]) == 0.005
        assert [line["key"] for line in body["lines"]] == ["gpt-4o", "claude"]
        assert body["unattributed"]["calls"] == 1


def test_a_wrong_question_names_every_wrong_member(ask, prod):
    problem = ask("get", "spend?group_by=weather&period=decade", status=422)
    assert {error["pointer"] for error in problem["errors"]} == {"/group_by", "/period"}


def test_the_ledger_is_listed_filtered_and_one_entry_is_found_by_its_key(ask, prod):
    entry = make.entry(prod, "0.0040", job="j1")
    make.entry(prod, "0.0040", job="j2")
    (row,) = ask("get", "ledger/?job=j1")["results"]
    assert row["id"] == entry.typeid and float(row["amount"]) == 0.004
    assert ask("get", f"ledger/{entry.typeid}/") == row
    theirs = make.entry(make.instance(version=make.approved(template=make.template(tenant=make.tenant()))))
    ask("get", f"ledger/{theirs.typeid}/", status=404)


def test_a_misspelt_member_of_a_question_about_spend_is_named(ask, prod):
    problem = ask("get", "spend/?by=zzz", status=422)
    assert [error["pointer"] for error in problem["errors"]] == ["/by"]


def test_a_wrong_question_to_the_ledger_and_the_caps_is_refused_by_name(ask, prod):
    problem = ask("get", "ledger/?instance=ins_1&basis=guess&colour=red", status=422)
    assert {error["pointer"] for error in problem["errors"]} == {"/instance", "/basis", "/colour"}
    problem = ask("get", "caps/?ended=maybe&instance=x", status=422)
    assert {error["pointer"] for error in problem["errors"]} == {"/ended", "/instance"}


def test_a_cap_is_set_and_ended(ask, prod):
    body = {"instance": prod.typeid, "per_day": "5", "reason": "Budget"}
    ask("post", "caps/", body | {"unpriced": "free"}, status=422)
    cap = ask("post", "caps/", body, status=201)
    assert Cap.objects.get().typeid == cap["id"] and cap["until"] is None
    assert ask("post", f"caps/{cap['id']}/end/", {"reason": "Over"})["until"]
    ask("post", f"caps/{cap['id']}/end/", {"reason": "Over"}, status=404)
    ask("post", "caps/", body | {"instance": "ins_1"}, status=422)


def test_a_finops_person_who_is_no_superuser_ends_rates_and_caps_in_the_admin(client, tenant, prod):
    judy = make.everything(make.user("judy", member_of=tenant), tenant)
    ivan = make.user("ivan", member_of=tenant)
    core.bind(principal=ivan, role="finops", scope=tenant, actor=judy, reason="FinOps")
    client.force_login(ivan)
    cap, rate = make.cap(prod), make.rate("gpt-4o")
    for name, row in (("cap", cap), ("costmodel", rate)):
        url = f"/admin/costs/{name}/"
        assert client.get(url).status_code == 200
        assert client.get(f"{url}{row.pk}/change/").status_code == 200
        action = "end_cap" if name == "cap" else "end_rate"
        form = {"action": action, "_selected_action": [str(row.pk)], "confirmed": "1", "reason": "Over"}
        client.post(url, form)
    assert Cap.objects.get().until is not None and CostModel.objects.get().ends_at is not None


def test_somebody_of_another_tenant_finds_neither_in_the_admin(client, tenant, prod):
    make.cap(prod)
    other = make.tenant("other")
    client.force_login(make.everything(make.user("mallory", member_of=other), other))
    assert str(prod).encode() not in client.get("/admin/costs/cap/").content
