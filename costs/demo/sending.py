"""Thirty days of work, sent as OpenTelemetry spans through the public OTLP endpoint."""

import hashlib
import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from arm import db
from arm.demo import Demo
from arm.ids import encode, uuid7
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, Dependency, Environment, Provider
from registry.services import issue_ingest_key

EVENTS, BATCH = 210_000, 1000
STRAYS = 120  # jobs that cannot be placed: about two spans in a thousand
UNSET = datetime(1970, 1, 1, tzinfo=UTC)
FEW = 4
SILENT = 18  # so many were provisioned and never reported
OUTCOMES = ("answer", "draft", "posting", "triage", "report")
TOOLS = ("search", "read_file", "query_db", "create_doc", "http_request", "write_file")


@dataclass(frozen=True)
class Runner:
    """An instance as the endpoint knows it, and what its work looks like. Without a version or an instance ("") its
    spans do not say so."""

    version: str
    instance: str
    token: str
    since: datetime
    vendor: str
    model: str
    team: str


def send(demo: Demo) -> None:
    """At least 200,000 events (at full scale) with their own times, in batches of 1,000, as a client would post them."""
    with db.tenants([demo.tenant.pk]):
        tried, runners = _runners(demo)
    post = import_string(settings.LANES["/otlp/v1/traces"])
    if tried is not None:
        _tell_once(demo, tried, post)
    total = demo.count(EVENTS // BATCH)
    for batch in demo.progress("events (thousands)", _batches(demo, runners, total), total):
        _post(post, batch)
    for batch in strays(demo.random, runners, demo.now, demo.count(STRAYS)):
        _post(post, batch)


def _tell_once(demo: Demo, known: Runner, post: Any) -> None:
    """One that was tried told of a single job, when it was new, and of nothing since."""
    began = known.since + timedelta(minutes=2)
    request = ExportTraceServiceRequest()
    job(demo.random, known, began, request.resource_spans.add())
    with demo.at(began + timedelta(minutes=5)):
        _post(post, (known.token, request.SerializeToString()))


def report_helpers(demo: Demo) -> None:
    """Instances that others have started tell of a first job, as their runtimes would, under a key of their own place."""
    with db.tenants([demo.tenant.pk]):
        rows = AgentInstance.objects.filter(tenant=demo.tenant).exclude(parent=None).order_by("pk")
        helpers = list(rows.select_related("version", "environment", "provider"))
        places = {(one.environment_id, one.provider_id): one for one in helpers}
        tokens = {
            place: issue_ingest_key(
                environment=one.environment, provider=one.provider, name=f"helpers in {one.environment.slug} at {one.provider.slug}",
                actor=demo.people["judy"], reason="The collectors of helpers",
            ).token
            for place, one in places.items()
        }  # fmt: skip
        models = models_of(rows)
        runners = [runner(one, tokens[one.environment_id, one.provider_id], models) for one in helpers]
    post = import_string(settings.LANES["/otlp/v1/traces"])
    for known in runners:
        request = ExportTraceServiceRequest()
        job(demo.random, known, known.since + timedelta(minutes=5), request.resource_spans.add())
        _post(post, (known.token, request.SerializeToString()))


def strays(chance: Random, runners: list[Runner], now: datetime, jobs: int) -> Iterator[tuple[str, bytes]]:
    """(token, protobuf body) of jobs that nobody can place: what real exporters get wrong now and then."""
    for number in range(jobs):
        known = chance.choice(runners)
        begin = now - timedelta(seconds=chance.uniform(60, 86_400))
        request = ExportTraceServiceRequest()
        into = request.resource_spans.add()
        match number % 4:
            case 0:  # a copy that somebody started with a borrowed key
                job(chance, replace(known, instance=encode("ins", uuid7())), begin, into)
            case 1:  # an exporter from before versions were told
                job(chance, replace(known, version=""), begin, into)
            case 2:  # a machine that woke up before its clock was set
                job(chance, known, UNSET + timedelta(seconds=chance.uniform(20, 600)), into)
            case _:  # a collector that strips what it does not know
                job(chance, replace(known, version="", instance=""), begin, into)
        yield known.token, request.SerializeToString()


def _runners(demo: Demo) -> tuple[Runner | None, list[Runner]]:
    """One of ours that was only tried, and those that work; a fleet of few tries none, and has none that is silent."""
    tokens: dict[tuple[Any, Any], str] = {}
    for place in Environment.objects.filter(tenant=demo.tenant):
        for provider in Provider.objects.filter(tenant=demo.tenant):
            tokens[place.pk, provider.pk] = issue_ingest_key(
                environment=place, provider=provider, name=f"{place.slug} at {provider.slug}",
                actor=demo.people["judy"], reason="The collectors of the demo",
            ).token  # fmt: skip
    rows = AgentInstance.objects.select_related("version", "provider").exclude(state=InstanceState.RETIRED)
    models = models_of(rows)
    found = list(rows.order_by("pk"))
    tried = None
    if len(found) > FEW:
        found = found[demo.count(SILENT) :]
        tried = next((one for one in found if one.provider.kind == Provider.Kind.LOCAL), None)
    made = {one.pk: runner(one, tokens[one.environment_id, one.provider_id], models) for one in found}
    return (made.pop(tried.pk) if tried else None), list(made.values())


def models_of(instances: QuerySet[AgentInstance]) -> dict[UUID, str]:
    """The model that each of their versions names first."""
    used = Dependency.objects.filter(kind="model", version__in=instances.order_by().values("version"))
    return dict(used.order_by("-pk").values_list("version", "name"))


def runner(instance: AgentInstance, token: str, models: Mapping[UUID, str]) -> Runner:
    vendor, _, model = models.get(instance.version_id, "openai/gpt-4o").rpartition("/")
    return Runner(
        version=instance.version.typeid,
        instance=instance.typeid,
        token=token,
        since=instance.created_at,
        vendor=vendor or _vendor(model),
        model=model,
        team=instance.cost_center,
    )


def _vendor(model: str) -> str:
    return "anthropic" if model.startswith("claude") else "google" if model.startswith("gemini") else "openai"


def _batches(demo: Demo, runners: list[Runner], total: int) -> Iterator[tuple[str, bytes]]:
    """(token, protobuf body): every runner reports at least once, then work falls where it falls."""
    by_token: dict[str, list[Runner]] = {}
    for runner in runners:
        by_token.setdefault(runner.token, []).append(runner)
    shares = list(by_token.items())
    weights = [len(group) for _, group in shares]
    for number in range(total):
        token, group = shares[number] if number < len(shares) else demo.random.choices(shares, weights)[0]
        request = ExportTraceServiceRequest()
        spans = 0
        waiting = list(group) if number < len(shares) else []
        while spans < BATCH or waiting:
            runner = waiting.pop() if waiting else demo.random.choice(group)
            days = max((demo.now - runner.since).total_seconds() - 7200, 60)
            begin = runner.since + timedelta(seconds=demo.random.random() * days + 60)
            spans += job(demo.random, runner, begin, request.resource_spans.add())
        yield token, request.SerializeToString()


def job(chance: Random, runner: Runner, begin: datetime, into: ResourceSpans) -> int:
    """One job of an agent from `begin` on: a root span, model calls, tool calls. Returns how many spans."""
    named = {"arm.version.id": runner.version, "arm.instance.id": runner.instance, "service.name": "agent"}
    into.resource.attributes.extend(_text(key, value) for key, value in named.items() if value)
    spans = into.scope_spans.add(schema_url="https://opentelemetry.io/schemas/1.37.0")
    key = f"job-{chance.randrange(1_000_000):06d}"
    trace = hashlib.sha256(f"{key}{begin}{runner.instance}".encode()).digest()
    nanos = int(begin.timestamp()) * 1_000_000_000 + chance.randrange(1_000_000_000)
    steps = chance.randrange(2, 7)
    failed = chance.random() < 0.04
    root = _span(spans, trace, b"\0", 0, "invoke_agent", nanos, steps * 1_800_000_000)
    root.attributes.extend([_text("gen_ai.operation.name", "invoke_agent")])
    if chance.random() > 0.02:  # two in a hundred forget to say what the work was for
        root.attributes.extend(
            [
                _text("arm.job.id", key),
                _text("arm.cost_center", runner.team),
                _text("arm.outcome.name", chance.choice(OUTCOMES)),
            ]
        )
    if failed:
        root.status.code = Status.STATUS_CODE_ERROR
        root.attributes.append(_text("error.type", "timeout"))
    for step in range(1, steps):
        at = nanos + step * 1_700_000_000
        if step % 2:
            call = _span(
                spans,
                trace,
                root.span_id,
                step,
                f"chat {runner.model}",
                at,
                chance.randrange(400, 5000) * 1_000_000,
            )
            read = chance.randrange(400, 9000)
            call.attributes.extend(
                [
                    _text("gen_ai.operation.name", "chat"),
                    _text("gen_ai.provider.name", runner.vendor),
                    _text("gen_ai.request.model", runner.model),
                    _text("gen_ai.response.model", runner.model),
                    _whole("gen_ai.usage.input_tokens", read),
                    _whole("gen_ai.usage.cache_read.input_tokens", read // 3),
                    _whole("gen_ai.usage.output_tokens", chance.randrange(40, 1200)),
                ]
            )
        else:
            tool = chance.choice(TOOLS)
            call = _span(
                spans,
                trace,
                root.span_id,
                step,
                f"execute_tool {tool}",
                at,
                chance.randrange(20, 900) * 1_000_000,
            )
            call.attributes.extend(
                [_text("gen_ai.operation.name", "execute_tool"), _text("gen_ai.tool.name", tool)]
            )
            if failed and step == steps - 1:
                call.status.code = Status.STATUS_CODE_ERROR
                call.attributes.append(_text("error.type", "tool_error"))
    return steps


def _span(
    spans: ScopeSpans, trace: bytes, parent: bytes, number: int, name: str, begin: int, length: int
) -> Span:
    span: Span = spans.spans.add(
        trace_id=trace[:16],
        span_id=trace[16 + number : 24 + number],
        parent_span_id=parent if number else b"",
        name=name,
        kind=Span.SPAN_KIND_INTERNAL,
        start_time_unix_nano=begin,
        end_time_unix_nano=begin + length,
    )
    return span


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def _whole(key: str, value: int) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(int_value=value))


def _post(lane: Any, batch: tuple[str, bytes], again: int = 30) -> None:
    token, body = batch
    answer: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/otlp/v1/traces",
        "CONTENT_TYPE": "application/x-protobuf",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "wsgi.input": io.BytesIO(body),
    }
    text = b"".join(lane(environ, lambda status, headers: answer.append(status)))
    if answer[0].startswith("503") and again:  # as exporters do: nothing was stored
        time.sleep(1)
        _post(lane, batch, again - 1)
    elif not answer[0].startswith("200"):
        raise RuntimeError(f"The OTLP endpoint answered {answer[0]}: {text!r}")
