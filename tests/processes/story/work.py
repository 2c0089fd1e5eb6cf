"""The work of an agent, told to the real processes by unmodified clients: an OpenTelemetry exporter, a browser, HTTP."""

import time
from decimal import Decimal

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from ..product import wait_for
from .stage import SIGNER, WORKER, Stage, apart, signed_in

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


def exporter(stage: Stage, timeout: float = 10) -> OTLPSpanExporter:
    """The exporter as everybody configures it."""
    bearer = {"Authorization": f"Bearer {stage.facts['ingest']}"}
    return OTLPSpanExporter(
        endpoint=f"{stage.running.gateway}/otlp/v1/traces", headers=bearer, timeout=timeout
    )


def spans_of(stage: Stage, calls: tuple[tuple[int, int, int], ...], job: str) -> list[ReadableSpan]:
    """What an instrumented agent records: a root span and a span per model call."""
    kept = InMemorySpanExporter()
    resource = Resource.create(
        {"arm.version.id": stage.facts["version"], "arm.instance.id": stage.facts["instance"]}
    )
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


def spans_sent_twice_land_once(stage: Stage) -> None:
    spans = spans_of(stage, CALLS, "job-1")
    for _ in range(2):
        assert exporter(stage).export(spans) is SpanExportResult.SUCCESS

    assert stage.database("SELECT count(*) FROM telemetry_event") == len(CALLS) + 1
    assert stage.database("SELECT count(*) FROM costs_ledgerentry") == len(CALLS)


def the_ledger_says_what_a_person_works_out(stage: Stage) -> None:
    picos = stage.database("SELECT sum(amount_picos) FROM costs_ledgerentry")
    assert Decimal(picos) / 10**12 == BY_HAND


def with_its_telemetry_seen_the_instance_becomes_active(stage: Stage) -> None:
    assert stage.ask(SEARCH)["decision"] == "deny"  # Provisioning may do nothing
    said = {"to": "active", "reason": "telemetry is linked"}
    status, answer = stage.api(f"registry/instances/{stage.facts['instance']}/move/", "dan", said)
    assert status == 200, answer
    wait_for(lambda: stage.ask(SEARCH)["decision"] == "allow", 2)


def a_red_tool_asks_and_exactly_the_approved_call_passes_once(stage: Stage) -> None:
    first = stage.ask(EMAIL)
    assert first["decision"] == "approve"
    address = f"policy/approvals/{first['approval']['id']}/"
    status, seen = stage.api(address, "erin")
    assert status == 200 and seen["digest"] == first["action_digest"], seen
    said = {"approve": True, "reason": "The customer waits", "digest": seen["digest"]}
    status, answer = stage.api(f"{address}decide/", "erin", said)
    assert (status, answer["code"]) == (403, "not_allowed"), answer  # a token is no second person
    apart(approve_in_the_browser, stage.url, first["approval"]["id"])

    altered = {**EMAIL, "args": {**EMAIL["args"], "to": "mallory@example.com"}}
    assert stage.ask(altered)["decision"] == "approve"  # another action: asks anew
    assert stage.ask(EMAIL)["decision"] == "allow"
    assert stage.ask(EMAIL)["decision"] == "approve"  # used up


def who_is_behind_the_request_does_not_approve_it(stage: Stage) -> None:
    asked = stage.ask({**EMAIL, "args": {"to": "b@example.com"}})
    said = {"approve": True, "reason": "mine", "digest": asked["action_digest"]}
    status, answer = stage.api(f"policy/approvals/{asked['approval']['id']}/decide/", "alice", said)
    assert status in (403, 404), answer


def quarantine_in_the_browser_denies_within_a_second_with_worker_and_signer_asleep(stage: Stage) -> None:
    assert stage.ask(SEARCH)["decision"] == "allow"
    with stage.asleep(WORKER, SIGNER):
        clicked = apart(quarantine_in_the_browser, stage.url, stage.facts["instance"])
        wait_for(lambda: stage.ask(SEARCH)["decision"] == "deny", clicked + 1 - time.monotonic())


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


STEPS = [
    spans_sent_twice_land_once,
    the_ledger_says_what_a_person_works_out,
    with_its_telemetry_seen_the_instance_becomes_active,
    a_red_tool_asks_and_exactly_the_approved_call_passes_once,
    who_is_behind_the_request_does_not_approve_it,
    quarantine_in_the_browser_denies_within_a_second_with_worker_and_signer_asleep,
]
