"""The pages of evaluation: what they show, to whom, and what their forms do."""

import json
import re

import pytest
from django.urls import reverse

from arm.rights import Right
from evaluation.models import AllowedHost, Assignment, Endpoint, Run, Suite
from registry.lifecycle import VersionState
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(tenant):
    return make.version(template=make.template("refund-desk", name="Refund desk"), state=VersionState.TESTING)


@pytest.fixture
def page(client, alice):
    client.force_login(alice)

    def open_(name, *args, **query):
        answer = client.get(reverse(f"evaluation:{name}", args=args), query)
        assert answer.status_code == 200, answer.content
        return answer.content.decode()

    return open_


@pytest.fixture
def post(client, alice):
    client.force_login(alice)

    def send(page_name, *args, **body):
        return client.post(reverse(f"evaluation:{page_name}", args=args), {"reason": "because", **body})

    return send


def words(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_a_run_shows_what_was_expected_beside_what_was_found(page, version):
    run = make.run(version, state="failed")
    result = make.run(version, state="errored").results.get()
    shown = words(page("run_detail", run.typeid))
    assert "Refund desk v1" in shown and "Failed" in shown and "It failed." in shown
    assert "timeout" in words(page("run_detail", result.run.typeid))


def test_a_run_that_goes_on_renews_its_part_and_is_fetched_whole_once_it_has_come_out(client, alice, version):
    client.force_login(alice)
    run = make.run(version, state="running", total=4, done=1)
    url = run.get_absolute_url()
    assert f'hx-get="{url}"' in client.get(url).content.decode()
    part = client.get(url, headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode() and "1 of 4" in words(part.content.decode())
    assert "HX-Refresh" not in part
    over = make.run(version)
    assert client.get(over.get_absolute_url(), headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    assert "hx-get" not in client.get(over.get_absolute_url()).content.decode().partition("<main")[2]


def test_what_an_agent_answered_is_shown_as_text_and_never_as_markup(page, version):
    run = make.run(version, state="running", done=0)
    evil = "<script>alert(1)</script>"
    verdict = {
        "scorer": "exact",
        "field": "/x",
        "passed": False,
        "expected": evil,
        "found": evil,
        "message": evil,
    }
    run.results.create(
        tenant=version.tenant,
        case="a",
        case_digest="sha256:0",
        position=0,
        severity="blocker",
        outcome="failed",
        excerpt=evil,
        verdicts=[verdict],
    )
    for shown in (page("run_detail", run.typeid), page("result_list", run.typeid)):
        assert "<script>alert" not in shown and shown.count("&lt;script&gt;alert(1)") == 4


def test_runs_are_found_by_state_suite_agent_and_version(page, version):
    suite = make.suite("conduct", name="Conduct", category="safety")
    failed, other = make.run(version, suite, state="failed"), make.run(version)
    for query in (
        {"state": "failed"},
        {"category": "safety"},
        {"suite": suite.typeid},
        {"q": "conduct"},
        {"q": failed.typeid},
    ):
        shown = page("run_list", **query)
        assert failed.get_absolute_url() in shown and other.get_absolute_url() not in shown, query
    assert "No run matches" in page("run_list", version=make.version().typeid)


def test_only_the_newest_run_on_a_version_in_use_counts_now(page, version):
    suite = make.suite()
    old, new = make.run(version, suite, state="failed"), make.run(version, suite)
    over = make.run(make.version(state=VersionState.RETIRED), suite)
    shown = page("run_list", counts="true")
    assert new.get_absolute_url() in shown
    assert old.get_absolute_url() not in shown and over.get_absolute_url() not in shown


def test_results_leave_as_a_file(client, alice, version):
    client.force_login(alice)
    run = make.run(version, state="failed")
    answer = client.get(reverse("evaluation:result_list", args=[run.typeid]), {"format": "csv"})
    lines = answer.content.decode().splitlines()
    assert lines[0].startswith("case,turn,severity,outcome") and lines[1].startswith(
        "greets,1,blocker,failed"
    )


class TestSuites:
    def test_a_suite_is_written_changed_and_downloaded(self, client, page, post):
        document = make.suite_document()
        answer = post("suite_create", name="Basics", slug="basics", text=json.dumps(document))
        suite = Suite.objects.get()
        assert answer["Location"] == suite.get_absolute_url()
        assert "greets" in page("suite_detail", suite.typeid) and "Basics" in page("suite_list")
        form = page("suite_change", suite.typeid)
        assert "arm.suite/v1" in form and "greets" in form
        post("suite_change", suite.typeid, text="schema: arm.suite/v1\ncategory: regression\ncases:\n"
             "- {name: b, input: 1, scorers: [{scorer: exact, field: /output, value: 1}]}\n")  # fmt: skip
        newest = suite.versions.first()
        assert newest.number == 2
        assert "“" not in page("suite_version", newest.typeid)
        file = client.get(newest.get_absolute_url(), {"format": "json"})
        assert file.content == bytes(newest.content)

    def test_a_suite_that_is_wrong_comes_back_with_every_pointer_and_what_was_typed(self, post):
        wrong = make.suite_document({"name": "a", "input": 1, "scorers": [{"scorer": "x"}]}, threshold=7)
        answer = post("suite_create", name="Basics", slug="basics", text=json.dumps(wrong))
        shown = answer.content.decode()
        assert answer.status_code == 422 and not Suite.objects.exists()
        assert "/cases/0/scorers/0/scorer" in shown and "/threshold" in shown and "Basics" in shown

    def test_a_suite_is_assigned_and_ended(self, page, post, version):
        suite = make.suite("conduct")
        post("suite_assign", suite="conduct", template=version.template.typeid, mandatory="on")
        assignment = Assignment.objects.get()
        assert assignment.mandatory and "Refund desk" in page("suite_detail", suite.typeid)
        post("assignment_end", assignment.typeid)
        assert Assignment.objects.get().until is not None


class TestRunning:
    def test_the_version_page_says_how_every_suite_stands_and_starts_what_is_missing(
        self, client, alice, version, post
    ):
        client.force_login(alice)
        first, second = make.assigned(version.template), make.assigned(version.template)
        make.run(version, first.suite)
        make.endpoint(version.template)
        shown = client.get(version.get_absolute_url()).content.decode()
        assert "Never run" in shown and "https://agent.example/ask" in shown
        answer = post("run_start", version=version.typeid, suite="")
        run = Run.objects.get(suite=second.suite)
        assert answer["Location"] == run.get_absolute_url()
        assert post("run_start", version=version.typeid, suite="").status_code == 409
        assert "Queued" in client.get(version.get_absolute_url()).content.decode()

    def test_a_run_without_an_endpoint_is_refused_in_words(self, post, version):
        make.suite("conduct")
        answer = post("run_start", version=version.typeid, suite="conduct")
        assert answer.status_code == 409 and "set its endpoint first" in answer.content.decode()

    def test_a_run_is_cancelled_by_its_page(self, post, version):
        run = make.run(version, state="queued", done=0)
        post("run_cancel", run.typeid)
        assert Run.objects.get().state == "cancelled"

    def test_the_agents_page_shows_suites_and_endpoints(self, client, alice, version, post):
        client.force_login(alice)
        make.assigned(version.template, make.suite("conduct", name="Conduct"))
        post("endpoint_set", template=version.template.typeid, version="", url="https://desk.example/x")
        post(
            "endpoint_set",
            template=version.template.typeid,
            version=version.typeid,
            url="https://desk.example/1",
        )
        shown = words(client.get(version.template.get_absolute_url()).content.decode())
        assert "Conduct" in shown and "Answers at https://desk.example/x" in shown
        assert "v1 answers at https://desk.example/1" in shown
        post("endpoint_end", Endpoint.objects.get(version=version).typeid)
        assert "desk.example/1" not in client.get(version.template.get_absolute_url()).content.decode()

    def test_hosts_are_opened_and_closed(self, page, post):
        assert post("host_allow", entry="10.0.0.0/33").status_code == 422
        post("host_allow", entry="10.20.0.0/16")
        assert "10.20.0.0/16" in page("host_list")
        post("host_end", AllowedHost.objects.get().typeid)
        assert "10.20.0.0/16" not in page("host_list") and "10.20.0.0/16" in page("host_list", ended="true")


def test_the_fleet_page_says_what_came_out_badly_until_it_is_made_good(client, alice, version):
    client.force_login(alice)
    suite = make.suite("conduct", name="Conduct")
    failed = make.run(version, suite, state="failed")
    assert failed.get_absolute_url() in client.get("/").content.decode()
    make.run(version, suite)
    assert failed.get_absolute_url() not in client.get("/").content.decode()


def test_a_viewer_sees_runs_and_is_offered_no_verb(client, tenant, version):
    vera = make.hired("vera", "viewer", tenant)
    client.force_login(vera)
    run = make.run(version, make.assigned(version.template).suite, state="running", done=0)
    shown = client.get(run.get_absolute_url()).content.decode()
    assert "Cancel" not in shown and "Run again" not in shown
    assert "Assign a suite" not in client.get(version.template.get_absolute_url()).content.decode()
    for name in ("suite_create", "suite_assign", "run_start", "endpoint_set", "host_list", "host_allow"):
        answer = client.get(reverse(f"evaluation:{name}"))
        assert answer.status_code == 403 or "No entry" in answer.content.decode() or name == "host_list"
    assert (
        client.post(reverse("evaluation:run_cancel", args=[run.typeid]), {"reason": "x"}).status_code == 403
    )
    assert Run.objects.get().state == "running"


def test_who_sees_one_agent_only_sees_its_runs_and_no_others(client, tenant, version):
    gita = make.user("gita", member_of=tenant)
    make.grant(gita, version.template, Right.READ_DIRECTORY)
    client.force_login(gita)
    mine, other = make.run(version), make.run(make.version())
    shown = client.get(reverse("evaluation:run_list")).content.decode()
    assert mine.get_absolute_url() in shown and other.get_absolute_url() not in shown
    assert client.get(mine.get_absolute_url()).status_code == 200
    assert client.get(other.get_absolute_url()).status_code == 404
    assert client.get(reverse("evaluation:result_list", args=[other.typeid])).status_code == 404


def test_who_works_on_one_agent_runs_its_suites_and_no_others(client, tenant, version):
    gita = make.user("gita", member_of=tenant)
    make.grant(gita, version.template, Right.READ_DIRECTORY, Right.RUN_EVALUATION)
    client.force_login(gita)
    asked, other = make.assigned(version.template).suite, make.suite("other")
    make.endpoint(version.template)
    url, body = reverse("evaluation:run_start"), {"version": version.typeid, "reason": "because"}
    assert client.post(url, body | {"suite": other.slug}).status_code == 422  # not among the choices
    assert client.post(url, body | {"suite": asked.slug}).status_code == 302
    elsewhere = make.version(template=make.template("elsewhere"))
    assert "is not yours" in client.post(url, body | {"version": elsewhere.typeid}).content.decode()
    assert [run.suite for run in Run.objects.all()] == [asked]


def test_a_search_finds_suites_and_runs(client, alice, version):
    client.force_login(alice)
    run = make.run(version, make.suite("conduct", name="Conduct"))
    for text, url in (
        ("condu", run.suite.get_absolute_url()),
        (run.suite.typeid, run.suite.get_absolute_url()),
        (run.typeid, run.get_absolute_url()),
    ):
        hits = client.get(reverse("search"), {"q": text}).context["hits"]
        assert url in {hit.url for hit in hits}, text
    for text in ("run_nonsense", "sui_nonsense"):
        assert client.get(reverse("search"), {"q": text}).context["hits"] == []
