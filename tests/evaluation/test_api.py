"""Evaluation for machines, and in the admin: the same rights, the same refusals."""

import pytest
from django.urls import reverse

from arm.models import ApiKey
from arm.rights import Right
from evaluation.models import Assignment, Endpoint, Run, Suite
from registry.lifecycle import VersionState
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(tenant):
    person = make.user("alice", member_of=tenant)
    rights = Right.READ_DIRECTORY, Right.EDIT_SUITE, Right.RUN_EVALUATION, Right.MANAGE_TENANT
    make.grant(person, tenant, *rights)
    return person


@pytest.fixture
def version(tenant):
    return make.version(template=make.template("refund-desk"), state=VersionState.TESTING)


@pytest.fixture
def ask(client, tenant, alice):
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=alice)

    def call(method, path, body=None, status=200):
        headers = {"Authorization": f"Bearer {token}"}
        answer = getattr(client, method)(
            f"/api/v1/evaluation/{path}", data=body, content_type="application/json", headers=headers
        )
        assert answer.status_code == status, answer.content
        return answer.json()

    return call


def pointers(problem):
    return {error["pointer"] for error in problem["errors"]}


def test_from_a_suite_to_a_run_and_its_end(ask, version):
    document = make.suite_document()
    made = ask("post", "suites/", {"slug": "a", "name": "A", "document": document, "reason": "x"}, 201)
    assert made["document"] == document and made["number"] == 1
    (listed,) = ask("get", "suites/?category=regression")["results"]
    assert (listed["id"], listed["version"], listed["cases"], listed["agents"]) == (made["suite"], 1, 1, 0)
    template = version.template.typeid
    ask("post", "assignments/", {"suite": made["suite"], "template": template, "reason": "x"}, 201)
    ask("post", "endpoints", {"template": template, "url": "https://desk.example/x", "reason": "x"}, 201)
    body = {"suite": made["suite"], "version": version.typeid, "reason": "x"}
    run = ask("post", "runs/", body, 201)
    assert (run["state"], run["suite_digest"], run["endpoint"]) == (
        "queued",
        made["digest"],
        "https://desk.example/x",
    )
    again = ask("post", "runs/", body, 409)
    assert (again["code"], again["id"]) == ("duplicate", run["id"])
    assert ask("post", f"runs/{run['id']}/cancel/", {"reason": "no"})["state"] == "cancelled"
    assert ask("get", f"runs/?version={version.typeid}&state=cancelled")["results"][0]["id"] == run["id"]
    second = ask(
        "post",
        f"suites/{made['suite']}/versions/",
        {"document": document | {"threshold": 0.5}, "reason": "x"},
        201,
    )
    assert ask("get", f"suite-versions/{second['id']}")["document"]["threshold"] == 0.5
    assert len(ask("get", f"suite-versions/?suite={made['suite']}")["results"]) == 2


def test_results_tell_what_was_expected_found_and_why_it_errored(ask, version):
    run = make.run(version, state="errored")
    (result,) = ask("get", f"results/?run={run.typeid}")["results"]
    assert (result["outcome"], result["problem"], result["verdicts"]) == ("errored", "timeout", [])
    assert ask("get", "results/?outcome=passed")["results"] == []


def test_a_wrong_body_names_every_wrong_member(ask, version):
    problem = ask("post", "suites/", {"slug": "a b", "name": ""}, 422)
    assert pointers(problem) == {"/slug", "/name", "/document", "/reason"}
    problem = ask("post", "suites/", {"slug": "a", "extra": 1}, 422)
    assert pointers(problem) == {"/extra", "/name", "/document", "/reason"}
    wrong = make.suite_document(category="looks", threshold=0)
    problem = ask("post", "suites/", {"slug": "a", "name": "A", "document": wrong, "reason": "x"}, 422)
    assert pointers(problem) == {"/document/category", "/document/threshold"}
    problem = ask("post", "runs/", {"suite": "sui_x", "version": version.template.typeid, "reason": "x"}, 422)
    assert pointers(problem) == {"/suite", "/version"}
    assert not Suite.objects.exists()


@pytest.mark.parametrize("document", [5, [], "x", None, {"schema": "arm.suite/v1"}])
def test_what_is_no_suite_is_refused_and_not_a_fault(ask, document):
    ask("post", "suites/", {"slug": "a", "name": "A", "document": document, "reason": "x"}, 422)


def test_a_wrong_question_names_every_wrong_member(ask):
    assert pointers(ask("get", "runs/?state=green&suite=x&wether=1", status=422)) == {
        "/state",
        "/suite",
        "/wether",
    }


def test_what_somebody_else_has_is_not_named(ask, version):
    theirs = make.suite(tenant=make.tenant("globex"))
    body = {"suite": theirs.typeid, "template": version.template.typeid, "reason": "x"}
    assert pointers(ask("post", "assignments/", body, 422)) == {"/suite"}
    ask("get", f"suites/{theirs.typeid}/", status=404)


def test_hosts_are_opened_by_who_manages_the_tenant_only(client, ask, tenant):
    made = ask("post", "allowed-hosts/", {"entry": "10.0.0.0/8", "reason": "x"}, 201)
    assert ask("post", f"allowed-hosts/{made['id']}/end/", {"reason": "x"})["until"]
    bob = make.user("bob", member_of=tenant)
    make.grant(bob, tenant, *(set(Right) - {Right.MANAGE_TENANT}))
    client.force_login(bob)
    body = {"entry": "10.0.0.0/8", "reason": "x"}
    answer = client.post("/api/v1/evaluation/allowed-hosts/", body, content_type="application/json")
    assert answer.status_code == 403


class TestAdmin:
    @pytest.fixture
    def admin(self, client, tenant):
        client.force_login(make.everything(make.user("judy", member_of=tenant), tenant))
        return client

    def test_everything_is_listed_and_opened(self, admin, version):
        rows = make.evaluations(version)
        for row in rows:
            for page in ("changelist", "change"):
                args = [row.pk] if page == "change" else []
                answer = admin.get(
                    reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=args)
                )
                assert answer.status_code == 200, (row, page)

    def test_a_suite_is_made_through_the_service(self, admin):
        url = reverse("admin:evaluation_suite_add")
        body = {"name": "A", "slug": "a", "purpose": "", "reason": "x", "document": "{}"}
        assert admin.post(url, body).status_code == 422 and not Suite.objects.exists()
        inline = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
        good = body | inline | {"document": '{"schema": "arm.suite/v1", "category": "capability", "cases": '
            '[{"name": "a", "input": 1, "scorers": [{"scorer": "exact", "field": "", "value": 1}]}]}'}  # fmt: skip
        assert admin.post(url, good).status_code == 302
        assert Suite.objects.get().versions.get().case_count == 1

    @pytest.mark.parametrize("model", [Assignment, Endpoint, Run])
    def test_a_command_calls_its_service(self, admin, version, model):
        row = {
            Assignment: lambda: make.assigned(version.template),
            Endpoint: lambda: make.endpoint(version.template),
            Run: lambda: make.run(version, state="queued", done=0),
        }[model]()
        name = {Assignment: "end_assignment", Endpoint: "end_endpoint", Run: "cancel_run"}[model]
        url = reverse(f"admin:evaluation_{model._meta.model_name}_changelist")
        body = {"action": name, "_selected_action": [row.pk], "confirmed": "1", "reason": "over"}
        assert admin.post(url, body).status_code == 302
        row.refresh_from_db()
        assert row.state == "cancelled" if model is Run else row.until is not None
