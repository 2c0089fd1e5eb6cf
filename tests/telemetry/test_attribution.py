"""Children do their root's job."""

from opentelemetry import trace
from opentelemetry.trace import Tracer

from tests.telemetry.otlp import exported, read


def test_children_inherit_job_cost_centre_and_outcome_from_their_root():
    def run(tracer: Tracer) -> None:
        work = {"arm.job.id": "ticket-7", "arm.cost_center": "cc-42", "arm.outcome.name": "resolved"}
        with (
            tracer.start_as_current_span("invoke_agent", attributes=work),
            tracer.start_as_current_span("step"),
            tracer.start_as_current_span("chat"),
        ):
            pass

    events = read(exported(run)).events
    assert len(events) == 3
    assert {(e.job, e.cost_center, e.outcome) for e in events} == {("ticket-7", "cc-42", "resolved")}


def test_another_trace_inherits_nothing():
    def run(tracer: Tracer) -> None:
        tracer.start_span("invoke_agent", attributes={"arm.job.id": "ticket-7"}).end()
        tracer.start_span("chat").end()

    assert {event.job for event in read(exported(run)).events} == {"ticket-7", None}


def test_the_nearest_ancestor_decides():
    def run(tracer: Tracer) -> None:
        with tracer.start_as_current_span(
            "outer", attributes={"arm.job.id": "outer", "arm.cost_center": "cc-1"}
        ):
            with tracer.start_as_current_span("inner", attributes={"arm.job.id": "inner"}):
                tracer.start_span("chat", attributes={"gen_ai.tool.name": "within"}).end()
            tracer.start_span("chat", attributes={"gen_ai.tool.name": "beside"}).end()

    found = {event.tool_name: (event.job, event.cost_center) for event in read(exported(run)).events}
    assert found["within"] == ("inner", "cc-1")
    assert found["beside"] == ("outer", "cc-1")


def test_a_process_that_serves_one_job_says_so_in_its_resource():
    def run(tracer: Tracer) -> None:
        tracer.start_span("chat").end()
        tracer.start_span("chat", attributes={"arm.job.id": "own"}).end()

    events = read(exported(run, {"arm.job.id": "nightly", "arm.cost_center": "cc-9"})).events
    assert {(event.job, event.cost_center) for event in events} == {("nightly", "cc-9"), ("own", "cc-9")}


def test_a_trace_that_speaks_with_two_voices_gives_a_stranger_in_it_nothing():
    def run(tracer: Tracer) -> None:
        elsewhere = trace.SpanContext(
            trace_id=5 << 64, span_id=77, is_remote=True, trace_flags=trace.TraceFlags(1)
        )
        context = trace.set_span_in_context(trace.NonRecordingSpan(elsewhere))
        for job in ("one", "two"):
            tracer.start_span("run", context, attributes={"arm.job.id": job, "arm.cost_center": "cc"}).end()
        tracer.start_span("chat", context, attributes={"gen_ai.tool.name": "stranger"}).end()

    found = {event.tool_name: (event.job, event.cost_center) for event in read(exported(run)).events}
    assert found["stranger"] == (None, "cc")
