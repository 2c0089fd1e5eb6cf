"""Sends OTLP to the lane as a client would, and reads what landed."""

import gzip
import io
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.trace import Tracer

from costs.services import booking
from registry.models import AgentInstance
from telemetry.gateway import traces
from telemetry.parsing import PROTOBUF
from telemetry.queries import credentials, directory
from telemetry.services import codes, ingesting
from tests import make
from tests.telemetry.otlp import exported

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.cache_read.input_tokens": 400,
    "gen_ai.usage.output_tokens": 200,
}
"""A call that costs 0.0040 USD."""


def forget() -> None:
    """The processes' memories: another database is behind them now."""
    for module in (credentials, directory, codes, ingesting, booking):
        module.forget()


class Answer:
    """Status, headers and body of an answer."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = int(status[:3])
        self.headers = dict(headers)
        self.body = body


def send(
    body: bytes, token: str | None = None, *, media: str = PROTOBUF, zipped: bool = False, **headers: str
) -> Answer:
    """POST to the lane."""
    data = gzip.compress(body) if zipped else body
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/otlp/v1/traces",
        "CONTENT_TYPE": media,
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.input": io.BytesIO(data),
    }
    if token is not None:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    if zipped:
        environ["HTTP_CONTENT_ENCODING"] = "gzip"
    environ |= headers
    got: list[Any] = []
    (answer,) = traces(environ, lambda status, headers, exc_info=None: got.extend((status, headers)) or print)
    return Answer(got[0], got[1], answer)


def resource_of(instance: AgentInstance) -> Mapping[str, str]:
    """The resource attributes that link a process to its instance."""
    return {"arm.version.id": instance.version.typeid, "arm.instance.id": instance.typeid}


def calls(number: int = 1, **more: Any) -> Callable[[Tracer], None]:
    """Makes `number` model calls under one root that names the job."""

    def make_spans(tracer: Tracer) -> None:
        root = {
            "gen_ai.operation.name": "invoke_agent",
            "arm.job.id": "ticket-7",
            "arm.outcome.name": "resolved",
        }
        with tracer.start_as_current_span("invoke_agent", attributes=root):
            for _ in range(number):
                tracer.start_span("chat", attributes=CHAT | more).end()

    return make_spans


def sender(slug: str = "", kind: str = "local") -> tuple[AgentInstance, str]:
    """An instance in a tenant of its own, and an ingest key of its provider and environment."""
    owner = make.tenant(slug or f"t-{uuid.uuid4().hex[:8]}")
    version = make.approved(
        template=make.template(tenant=owner),
    )
    instance = make.instance(version=version, provider=make.provider(kind=kind, tenant=owner))
    return instance, make.ingest_token(instance.environment, instance.provider)


def a_batch(instance: AgentInstance, number: int = 3, **more: Any) -> bytes:
    """One agent run with `number` model calls, as the exporter sends it."""
    return exported(calls(number, **more), resource_of(instance))
