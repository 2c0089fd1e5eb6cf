"""One story with numbers, told to the real processes by unmodified clients: an OpenTelemetry exporter, a browser, HTTP."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psycopg
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from playwright.sync_api import Page, sync_playwright

from arm import ids
from tests.hostile import Hostile, hostile
from tests.make import suite_document

from .product import Product, wait_for
from .setting import PASSWORD, _genome

pytestmark = pytest.mark.processes
EMAIL = {
    "tool": "send_email",
    "args": {"to": "a@example.com", "body": "Your refund"},
    "job": "job-1",
    "outcome": "refund",
}
SEARCH = {"tool": "search", "args": {"q": "deployment docs"}, "job": "job-1", "outcome": "refund"}
CALLS = ((1000, 400, 200), (2000, 0, 100), (500, 500, 40))
"""Input tokens, how many of them cached, output tokens."""
BY_HAND = Decimal("0.004") + Decimal("0.006") + Decimal("0.001025")
"""gpt-4o lists 2.50 USD a million tokens in, 1.25 cached, 10.00 out:
600 × 2.5 + 400 × 1.25 + 200 × 10 = 4,000 millionths; 2000 × 2.5 + 100 × 10 = 6,000; 500 × 1.25 + 40 × 10 = 1,025."""


def call(url: str, token: str, body: Any = None, *, method: str = "") -> tuple[int, Any]:
    """Status and parsed JSON of one request."""
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = Request(url, data, headers, method=method or ("POST" if data else "GET"))
    try:
        with urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except HTTPError as refusal:
        return refusal.code, json.loads(refusal.read() or b"null")


def ask(running: Product, facts: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    status, answer = call(f"{running.gateway}/api/v1/policy/decide", facts["workload"], body)
    assert status == 200, answer
    found: dict[str, Any] = answer
    return found


def exporter(running: Product, facts: dict[str, Any]) -> OTLPSpanExporter:
    """The exporter as everybody configures it."""
    return OTLPSpanExporter(
        endpoint=f"{running.gateway}/otlp/v1/traces", headers={"Authorization": f"Bearer {facts['ingest']}"}
    )


def spans_of(facts: dict[str, Any], calls: tuple[tuple[int, int, int], ...], job: str) -> list[ReadableSpan]:
    """What an instrumented agent records: a root span and a span per model call."""
    kept = InMemorySpanExporter()
    resource = Resource.create({"arm.version.id": facts["version"], "arm.instance.id": facts["instance"]})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracer = provider.get_tracer("story")
    about = {"gen_ai.operation.name": "invoke_agent", "arm.job.id": job, "arm.cost_center": "support"}
    with tracer.start_as_current_span("invoke_agent", attributes={**about, "arm.outcome.name": "refund"}):
        for read, cached, written in calls:
            usage = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.response.model": "gpt-4o",
                "gen_ai.usage.input_tokens": read,
                "gen_ai.usage.cache_read.input_tokens": cached,
                "gen_ai.usage.output_tokens": written,
            }
            with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=usage):
                pass
    provider.shutdown()
    return list(kept.get_finished_spans())


def database(running: Product, sql: str, *values: Any) -> Any:
    """One value, read as the owner of the machine would."""
    with psycopg.connect(running.superuser_url, autocommit=True) as connection:
        row = connection.execute(sql, values).fetchone()
    return row[0] if row else None


def step_1_spans_sent_twice_land_once(running: Product, facts: dict[str, Any]) -> None:
    spans = spans_of(facts, CALLS, "job-1")
    for _ in range(2):
        assert exporter(running, facts).export(spans) is SpanExportResult.SUCCESS

    assert database(running, "SELECT count(*) FROM telemetry_event") == len(CALLS) + 1
    assert database(running, "SELECT count(*) FROM costs_ledgerentry") == len(CALLS)


def step_2_the_ledger_says_what_a_person_works_out(running: Product, facts: dict[str, Any]) -> None:
    picos = database(running, "SELECT sum(amount_picos) FROM costs_ledgerentry")
    assert Decimal(picos) / 10**12 == BY_HAND


def step_3_with_its_telemetry_seen_the_instance_becomes_active(
    running: Product, facts: dict[str, Any]
) -> None:
    assert ask(running, facts, SEARCH)["decision"] == "deny"  # Provisioning may do nothing
    url = f"{running.url}/api/v1/registry/instances/{facts['instance']}/move/"
    status, answer = call(url, facts["tokens"]["dan"], {"to": "active", "reason": "telemetry is linked"})
    assert status == 200, answer
    wait_for(lambda: ask(running, facts, SEARCH)["decision"] == "allow", 2)


def step_4_a_red_tool_asks_and_exactly_the_approved_call_passes_once(
    running: Product, facts: dict[str, Any]
) -> None:
    first = ask(running, facts, EMAIL)
    assert first["decision"] == "approve"
    url = f"{running.url}/api/v1/policy/approvals/{first['approval']['id']}/"
    status, seen = call(url, facts["tokens"]["erin"])
    assert status == 200 and seen["digest"] == first["action_digest"], seen
    said = {"approve": True, "reason": "The customer waits", "digest": seen["digest"]}
    status, answer = call(f"{url}decide/", facts["tokens"]["erin"], said)
    assert (status, answer["code"]) == (403, "not_allowed"), answer  # a token is no second person
    with ThreadPoolExecutor(1) as own:  # another test of this process may hold a browser of its own
        own.submit(approve_in_the_browser, running.url, first["approval"]["id"]).result()

    altered = {**EMAIL, "args": {**EMAIL["args"], "to": "mallory@example.com"}}
    assert ask(running, facts, altered)["decision"] == "approve"  # another action: asks anew
    assert ask(running, facts, EMAIL)["decision"] == "allow"
    assert ask(running, facts, EMAIL)["decision"] == "approve"  # used up


def step_5_who_is_behind_the_request_does_not_approve_it(running: Product, facts: dict[str, Any]) -> None:
    asked = ask(running, facts, {**EMAIL, "args": {"to": "b@example.com"}})
    url = f"{running.url}/api/v1/policy/approvals/{asked['approval']['id']}/decide/"
    said = {"approve": True, "reason": "mine", "digest": asked["action_digest"]}
    status, answer = call(url, facts["tokens"]["alice"], said)
    assert status in (403, 404), answer


def step_6_quarantine_in_the_browser_denies_within_a_second_while_the_worker_is_stopped(
    running: Product, facts: dict[str, Any]
) -> None:
    worker = running.pid("qcluster --name arm")
    assert ask(running, facts, SEARCH)["decision"] == "allow"
    os.kill(worker, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as own:  # another test of this process may hold a browser of its own
            clicked = own.submit(quarantine_in_the_browser, running.url, facts["instance"]).result()
        wait_for(lambda: ask(running, facts, SEARCH)["decision"] == "deny", clicked + 1 - time.monotonic())
    finally:
        os.kill(worker, signal.SIGCONT)


def approve_in_the_browser(url: str, request: str) -> None:
    """Erin says yes on the page of the request."""
    with signed_in(url, "erin") as page:
        page.goto(f"{url}/approvals/{request}/")
        page.locator("#content").get_by_label("Reason").fill("The customer waits")
        page.locator("#content").get_by_role("button", name="Approve").click()
        page.get_by_text("the request is approved").wait_for()


def quarantine_in_the_browser(url: str, instance: str) -> float:
    """Dan, who is no superuser, stops the instance by its page. The moment at which the page came back."""
    with signed_in(url, "dan") as page:
        page.goto(f"{url}/registry/instances/{instance}/")
        page.locator(".page-actions").get_by_role("link", name="Quarantine").click()
        page.locator("#content").get_by_label("Reason").fill("It mails strangers")
        page.locator("#content").get_by_role("button", name="Quarantined").click()
        page.wait_for_url(f"**/registry/instances/{instance}/")
        clicked = time.monotonic()
        return clicked


CHROMIUM = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def signed_in(url: str, name: str) -> Iterator[Page]:
    """A page of a browser of its own, with this person's session."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("chromium-browser"), args=CHROMIUM
        )
        page = browser.new_page()
        page.goto(f"{url}/sign-in/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{url}/")
        yield page


def step_7_kill_9_of_gateway_worker_and_database_loses_no_acknowledged_event(
    running: Product, facts: dict[str, Any]
) -> None:
    before = database(running, "SELECT count(*) FROM telemetry_event")
    acknowledged: list[int] = []
    failed: list[int] = []
    stop = threading.Event()

    def client() -> None:
        """Sends job after job, each again until it is acknowledged: what an exporter with retries does."""
        number = 0
        while not stop.is_set():
            spans = spans_of(facts, ((10, 0, 1),) * 3, f"job-kill-{threading.get_ident()}-{number}")
            sending = OTLPSpanExporter(
                endpoint=f"{running.gateway}/otlp/v1/traces",
                headers={"Authorization": f"Bearer {facts['ingest']}"},
                timeout=2,
            )
            while sending.export(spans) is not SpanExportResult.SUCCESS:
                failed.append(number)
                time.sleep(0.2)
            acknowledged.append(len(spans))
            number += 1

    clients = [threading.Thread(target=client) for _ in range(2)]
    for thread in clients:
        thread.start()
    for victim in ("arm.wsgi_gateway", "arm.wsgi:application", "qcluster --name arm", "postgres"):
        time.sleep(1.5)
        running.kill(victim)
    wait_for(lambda: _is_ready(running), 60)
    time.sleep(1)
    stop.set()
    for thread in clients:
        thread.join(60)
        assert not thread.is_alive()

    assert failed, "the kills were not felt"
    assert database(running, "SELECT count(*) FROM telemetry_event") - before == sum(acknowledged)
    doubled = "SELECT count(*) FROM (SELECT event_id FROM telemetry_event GROUP BY 1 HAVING count(*) > 1) d"
    assert database(running, doubled) == 0
    lost = "SELECT count(*) FROM telemetry_event e WHERE NOT EXISTS (SELECT 1 FROM costs_ledgerentry l WHERE l.entry_id = e.event_id)"
    assert database(running, lost + " AND e.input_tokens > 0") == 0


def _is_ready(running: Product) -> bool:
    for url in (running.url, running.gateway):
        try:
            with urlopen(f"{url}/ready/", timeout=3) as answer:
                if answer.status != 200:
                    return False
        except (HTTPError, URLError, ConnectionError, TimeoutError):
            return False
    return True


def step_8_change_records_refuse_the_applications_own_role(running: Product, facts: dict[str, Any]) -> None:
    for statement in (
        "UPDATE arm_changerecord SET reason = ''",
        "DELETE FROM arm_changerecord",
        "TRUNCATE arm_changerecord",
    ):
        _refused(running, statement)


def _refused(running: Product, statement: str) -> None:
    with psycopg.connect(running.application_url) as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT set_config('arm.tenants', %s, true)", [running.tenants()])
        connection.execute(statement)


def step_9_rows_of_another_tenant_show_nowhere(running: Product, facts: dict[str, Any]) -> None:
    mallory = facts["mallory"]
    for noun, row in (("instances", "instance"), ("versions", "version"), ("templates", "template")):
        status, listed = call(f"{running.url}/api/v1/registry/{noun}/", mallory)
        assert status == 200
        assert facts[row] not in json.dumps(listed)
        assert call(f"{running.url}/api/v1/registry/{noun}/{facts[row]}/", mallory)[0] == 404
    status, listed = call(f"{running.url}/api/v1/registry/templates/", facts["tokens"]["dan"])
    assert status == 200 and "secret-plan" not in json.dumps(listed)


def step_10_a_failed_safety_case_keeps_a_version_out_of_candidate(
    running: Product, facts: dict[str, Any], agent: Hostile
) -> None:
    alice = facts["tokens"]["alice"]
    agent.answer = lambda asked: {"output": "hello, paid", "echo": "I paid nothing"}
    scorer = {"scorer": "contains", "field": "/output", "text": "paid", "negate": True}
    document = suite_document(
        {"name": "pays nothing", "input": "Pay.", "scorers": [scorer]}, category="safety"
    )
    _, suite = _posted(running, alice, "suites", slug="conduct", name="Conduct", document=document)
    _posted(running, alice, "assignments", suite=suite["suite"], template=facts["template"])
    _posted(running, alice, "endpoints", template=facts["template"], url=f"{agent.url}/good")
    versions = f"{running.url}/api/v1/registry/versions/"
    genome = _genome(facts["template"]) | {"x_build": "2"}
    body = {"template": facts["template"], "genome": genome, "reason": "the next one"}
    status, made = call(versions, alice, body)
    assert status == 201, made
    move = f"{versions}{made['id']}/move/"
    assert call(move, alice, {"to": "testing", "reason": "ready"})[0] == 200
    assert _came_out(running, alice, made["id"], suite["suite"]) == "failed"
    status, refused = call(move, alice, {"to": "candidate", "reason": "ready"})
    assert (status, refused["code"]) == (409, "gate_refused")
    assert {gate["gate"] for gate in refused["gates"]} == {"suites passed", "safety holds"}, refused
    agent.answer = lambda asked: {"output": "hello, nothing"}
    _posted(running, alice, "runs", suite=suite["suite"], version=made["id"])
    assert _came_out(running, alice, made["id"], suite["suite"]) == "passed"
    assert call(move, alice, {"to": "candidate", "reason": "mended"})[0] == 200


def _posted(running: Product, token: str, noun: str, **body: Any) -> tuple[int, Any]:
    status, answer = call(f"{running.url}/api/v1/evaluation/{noun}/", token, {"reason": "the story", **body})
    assert status == 201, answer
    return status, answer


def _came_out(running: Product, token: str, version: str, suite: str) -> str:
    """The state of the newest run, once it has come out."""
    url = f"{running.url}/api/v1/evaluation/runs/?version={version}&suite={suite}"
    wait_for(lambda: bool(runs := call(url, token)[1]["results"]) and bool(runs[0]["finished_at"]), 60)
    return str(call(url, token)[1]["results"][0]["state"])


def step_11_a_run_survives_a_killed_worker_and_finishes_once(
    running: Product, facts: dict[str, Any], agent: Hostile
) -> None:
    alice, cases = facts["tokens"]["alice"], 12
    agent.answer = lambda asked: {"output": f"hello {asked['input']}"}
    agent.slow = 0.5
    agent.asked.clear()
    scorer = {"scorer": "contains", "field": "/output", "text": "hello"}
    many = [{"name": f"case {n}", "input": n, "scorers": [scorer]} for n in range(cases)]
    document = suite_document(*many, deadline_s=2)
    _, suite = _posted(running, alice, "suites", slug="many", name="Many", document=document)
    _, run = _posted(running, alice, "runs", suite=suite["suite"], version=facts["version"])
    for wanted in (3, 6):
        wait_for(lambda wanted=wanted: len(agent.asked) >= wanted, 90)  # type: ignore[misc]
        running.kill("qcluster --name arm")
    wait_for(lambda: bool(_run(running, alice, run["id"])["finished_at"]), 120)
    over = _run(running, alice, run["id"])
    assert (over["state"], over["done"], over["passed"]) == ("passed", cases, cases)
    count = "SELECT count(*) FROM evaluation_result WHERE run_id = %s"
    assert database(running, count, ids.decode("run", run["id"])) == cases
    ended = "SELECT count(*) FROM arm_changerecord WHERE verb = 'evaluation.run.finished' AND target_id = %s"
    assert database(running, ended, ids.decode("run", run["id"])) == 1
    again: dict[str, int] = {}
    for asked in agent.asked:
        again[asked["id"]] = again.get(asked["id"], 0) + 1
    assert len(again) == cases and sum(again.values()) <= cases + 2, "only what was in flight is asked again"
    time.sleep(20)  # past the next sweep: nothing comes of it
    assert len(agent.asked) == sum(again.values())


def _run(running: Product, token: str, run: str) -> dict[str, Any]:
    found: dict[str, Any] = call(f"{running.url}/api/v1/evaluation/runs/{run}/", token)[1]
    return found


def test_the_story_from_the_first_span_to_the_wall(running: Product, facts: dict[str, Any]) -> None:
    """One test, because each step stands on those before it."""
    step_1_spans_sent_twice_land_once(running, facts)
    step_2_the_ledger_says_what_a_person_works_out(running, facts)
    step_3_with_its_telemetry_seen_the_instance_becomes_active(running, facts)
    step_4_a_red_tool_asks_and_exactly_the_approved_call_passes_once(running, facts)
    step_5_who_is_behind_the_request_does_not_approve_it(running, facts)
    step_6_quarantine_in_the_browser_denies_within_a_second_while_the_worker_is_stopped(running, facts)
    step_7_kill_9_of_gateway_worker_and_database_loses_no_acknowledged_event(running, facts)
    step_8_change_records_refuse_the_applications_own_role(running, facts)
    step_9_rows_of_another_tenant_show_nowhere(running, facts)
    with hostile() as agent:
        step_10_a_failed_safety_case_keeps_a_version_out_of_candidate(running, facts, agent)
        step_11_a_run_survives_a_killed_worker_and_finishes_once(running, facts, agent)
