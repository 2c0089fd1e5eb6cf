"""OTLP ingestion against R2, PostgreSQL's own limit: prebuilt binary COPY of the same kind of rows over two
connections into the same table with the same indexes, in turns with the real thing in one run.

The real thing: batches of 1000 spans in OTLP/protobuf, posted over HTTP to granian with two workers; every span linked
to its instance, deduplicated, every model call with its ledger entry and its sums. CPU is that of everything but the
load generator: the servers and PostgreSQL; for R2 the two copying clients and PostgreSQL.
"""

import http.client
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.db import connections
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from arm import clock, db
from costs.models import LedgerEntry
from registry.models import AgentInstance
from telemetry.models import Event
from telemetry.parsing import PROTOBUF, parse
from telemetry.parsing.packing import COLUMNS, rows
from telemetry.queries.credentials import credential_of
from telemetry.queries.directory import directory_of
from telemetry.services.codes import codebook, intern
from telemetry.services.ingesting import names
from telemetry.services.linking import link, micros
from tests import make

from .harness import Figure, percentile, serving

BATCH = 1000
RUN = (
    "invoke_agent",
    "chat",
    "execute_tool",
    "chat",
    "retrieval",
    "execute_tool",
    "chat",
)  # spans of one job
INSTANCES = 20
CLIENTS = 4
TICKS = os.sysconf("SC_CLK_TCK")
RATE_FLOOR, CPU_CEILING = 0.35, 3.0
_fork = get_context("fork")


@dataclass(frozen=True)
class Round:
    """What one round took: wall seconds, CPU seconds of everything but the load, rows, seconds per request."""

    wall: float
    cpu: float
    rows: int
    latencies: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.wall

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a row."""
        return self.cpu / self.rows * 1e6


def run(quick: bool) -> list[Figure]:
    """Alternate rounds of R2 and of ingestion; medians over the rounds, after one round of each to warm up."""
    rounds, batches = (1, 20) if quick else (11, 100)
    instances, token = _fleet()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": PROTOBUF}
    postgres = _postgres_pids()
    r2: list[Round] = []
    real: list[Round] = []
    again: list[Round] = []
    with serving("arm.wsgi_gateway:application", workers=2, threads=4) as url:
        servers = _descendants(os.getpid())
        for _ in range(rounds + 1):
            _away_from_midnight()
            bodies = list(_bodies(instances, batches))
            r2.append(_copy_round(_prebuilt(bodies, token), postgres))
            bodies = list(_bodies(instances, batches))
            real.append(_post_round(url, headers, bodies, lambda: servers | postgres()))
            again.append(_post_round(url, headers, bodies, lambda: servers | postgres()))
    _verify(instances[0].tenant_id, batches * (rounds + 1))
    return _figures(r2[1:], real[1:], again[1:])


def _away_from_midnight() -> None:
    """R2 copies into the partition of today: the spans of a round, of the last minute, are all to be of one day."""
    now = datetime.now(UTC)
    ends = (now + timedelta(seconds=30)).date(), (now - timedelta(seconds=65)).date()
    if ends[0] != ends[1]:
        time.sleep(100)


def _figures(r2: Sequence[Round], real: Sequence[Round], again: Sequence[Round]) -> list[Figure]:
    """Medians; a ratio is that of two rounds next to each other, since a shared machine is not the same all the time."""
    limit_rate, limit_cpu = _median(one.rate for one in r2), _median(one.cpu_us for one in r2)
    rates = _median(one.rate / limit.rate for one, limit in zip(real, r2, strict=True))
    costs = _median(one.cpu_us / limit.cpu_us for one, limit in zip(real, r2, strict=True))
    replay = _median(second.rate / first.rate for second, first in zip(again, real, strict=True))
    latencies = [seconds * 1000 for one in real for seconds in one.latencies]
    return [
        Figure("ingest_r2_rate", limit_rate, "rows/s"),
        Figure("ingest_r2_cpu", limit_cpu, "us/row"),
        Figure("ingest_rate", rates * limit_rate, "events/s", RATE_FLOOR * limit_rate, rates, "at least"),
        Figure("ingest_cpu", costs * limit_cpu, "us/event", CPU_CEILING * limit_cpu, costs),
        Figure("ingest_replay_rate", replay * rates * limit_rate, "events/s", None, replay),
        Figure("ingest_p50", percentile(latencies, 0.5), "ms"),
        Figure("ingest_p99", percentile(latencies, 0.99), "ms"),
    ]


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def _fleet() -> tuple[list[AgentInstance], str]:
    """A tenant with instances of one version at one provider, and the ingest key of that provider."""
    owner = make.tenant("bench")
    place, sender = make.environment("prod", tenant=owner), make.provider("local", tenant=owner)
    version = make.approved(template=make.template(tenant=owner))
    with clock.at(clock.now() - timedelta(hours=1)):  # bound since before the first span
        made = [make.instance(version=version, environment=place, provider=sender) for _ in range(INSTANCES)]
    return made, make.ingest_token(place, sender)


def _bodies(instances: Sequence[AgentInstance], batches: int) -> Iterator[bytes]:
    """Requests as an exporter sends them: one process each, new ids, times of the last minute, jobs of seven spans."""
    source = random.Random(os.urandom(8))
    for number in range(batches):
        instance = instances[number % len(instances)]
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        for name, value in (
            ("service.name", "support-agent"),
            ("telemetry.sdk.language", "python"),
            ("arm.version.id", instance.version.typeid),
            ("arm.instance.id", instance.typeid),
        ):
            group.resource.attributes.add(key=name).value.string_value = value
        part = group.scope_spans.add()
        now = time.time_ns() - 60_000_000_000
        trace, root, job = b"", b"", ""
        for n in range(BATCH):
            operation = RUN[n % len(RUN)]
            span = part.spans.add(
                name=operation,
                kind=3,
                span_id=source.randbytes(8),
                start_time_unix_nano=now + n * 1_000_000,
                end_time_unix_nano=now + n * 1_000_000 + source.randrange(50_000_000, 4_000_000_000),
            )
            if operation == "invoke_agent":
                trace, root, job = source.randbytes(16), span.span_id, f"ticket-{source.randrange(10**9)}"
            else:
                span.parent_span_id = root
            span.trace_id = trace
            for key, value in _attributes(operation, job, source).items():
                attribute = span.attributes.add(key=key).value
                if isinstance(value, int):
                    attribute.int_value = value
                elif isinstance(value, float):
                    attribute.double_value = value
                else:
                    attribute.string_value = value
        yield request.SerializeToString()


def _attributes(operation: str, job: str, source: random.Random) -> dict[str, str | int | float]:
    common: dict[str, str | int | float] = {"gen_ai.operation.name": operation}
    match operation:
        case "invoke_agent":
            return common | {
                "gen_ai.agent.name": "support",
                "arm.job.id": job,
                "arm.cost_center": "cc-42",
                "arm.outcome.name": source.choice(["resolved", "escalated"]),
            }
        case "chat":
            read = source.randrange(0, 2000)
            return common | {
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.response.model": "gpt-4o-2024-08-06",
                "gen_ai.response.id": f"chatcmpl-{source.getrandbits(96):024x}",
                "gen_ai.response.finish_reasons": "stop",
                "gen_ai.request.temperature": 0.2,
                "gen_ai.request.max_tokens": 1024,
                "gen_ai.usage.input_tokens": read + source.randrange(100, 4000),
                "gen_ai.usage.cache_read.input_tokens": read,
                "gen_ai.usage.output_tokens": source.randrange(5, 900),
                "gen_ai.conversation.id": f"thread-{job}",
                "server.address": "api.openai.com",
                "server.port": 443,
            }
        case "execute_tool":
            return common | {
                "gen_ai.tool.name": "search",
                "gen_ai.tool.type": "function",
                "gen_ai.tool.call.id": f"call_{source.getrandbits(96):024x}",
            }
        case _:
            return common | {"gen_ai.data_source.id": "kb-1", "server.address": "vectors.example"}


# --- R2 -------------------------------------------------------------------------------------------------------


def _prebuilt(bodies: Sequence[bytes], token: str) -> list[bytes]:
    """The COPY streams that the product itself would write for these bodies."""
    credential = credential_of(f"Bearer {token}")
    codes = codebook(credential.tenant_id)
    streams = []
    for body in bodies:
        batch = parse(body, PROTOBUF, tenant_id=credential.tenant_id, provider_id=credential.provider_id)
        linked, held = link(batch, credential, directory_of(credential.tenant_id), micros())
        if held:
            raise RuntimeError(f"{len(held)} spans of the bench were not linked: {held[0].detail}")
        if unknown := names(linked) - codes.keys():
            intern(credential.tenant_id, unknown)
        streams.append(rows(linked.events, linked.blocks, codes=codes, received_us=micros()))
    return streams


def _copy_round(streams: Sequence[bytes], postgres: Callable[[], set[int]]) -> Round:
    """Two processes with a connection each copy half of the streams each, one transaction per stream."""
    table = f"partitions.telemetry_event_{datetime.now(UTC):%Y%m%d}"
    statement = f"COPY {table} ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)"
    parameters = connections["ingest"].get_connection_params()
    connections.close_all()
    ends, processes = [], []
    for half in (streams[::2], streams[1::2]):
        mine, theirs = _fork.Pipe()
        process = _fork.Process(target=_copy_all, args=(theirs, parameters, statement, half))
        process.start()
        mine.recv()
        ends.append(mine)
        processes.append(process)
    before, began = _cpu(postgres()), time.perf_counter()
    for end in ends:
        end.send("go")
    client = sum(end.recv() for end in ends)
    wall = time.perf_counter() - began
    cpu = _cpu(postgres()) - before + client
    for end, process in zip(ends, processes, strict=True):
        end.send("bye")
        process.join()
    return Round(wall, cpu, BATCH * len(streams))


def _copy_all(pipe: Connection, parameters: dict[str, Any], statement: str, streams: Sequence[bytes]) -> None:
    # Stays connected until told, so that its backend's CPU is still there to be read.
    with psycopg.connect(**{k: v for k, v in parameters.items() if k != "cursor_factory"}) as connection:
        pipe.send("ready")
        pipe.recv()
        began = time.process_time()
        for stream in streams:
            with connection.cursor() as cursor, cursor.copy(statement) as copy:
                copy.write(stream)
            connection.commit()
        pipe.send(time.process_time() - began)
        pipe.recv()


# --- the real thing -------------------------------------------------------------------------------------------


def _post_round(
    url: str, headers: dict[str, str], bodies: Sequence[bytes], measured: Callable[[], set[int]]
) -> Round:
    """CLIENTS threads of a process of their own post all bodies; every answer must be 200."""
    mine, theirs = _fork.Pipe()
    connections.close_all()
    process = _fork.Process(target=_post_all, args=(theirs, url, headers, bodies))
    process.start()
    mine.recv()
    before, began = _cpu(measured()), time.perf_counter()
    mine.send("go")
    latencies, problem = mine.recv()
    wall = time.perf_counter() - began
    cpu = _cpu(measured()) - before
    process.join()
    if problem:
        raise RuntimeError(problem)
    return Round(wall, cpu, BATCH * len(bodies), latencies)


def _post_all(pipe: Connection, url: str, headers: dict[str, str], bodies: Sequence[bytes]) -> None:
    address = urlsplit(url).netloc
    pipe.send("ready")
    pipe.recv()

    def post(some: Sequence[bytes]) -> list[float]:
        client, taken = http.client.HTTPConnection(address), []
        for body in some:
            began = time.perf_counter()
            client.request("POST", "/otlp/v1/traces", body, headers)
            answer = client.getresponse()
            said = answer.read()
            taken.append(time.perf_counter() - began)
            if answer.status != 200 or said:
                raise RuntimeError(f"{answer.status}: {said!r}")
        return taken

    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            taken = list(pool.map(post, [bodies[n::CLIENTS] for n in range(CLIENTS)]))
        pipe.send(([seconds for some in taken for seconds in some], ""))
    except RuntimeError as problem:
        pipe.send(([], str(problem)))


def _verify(tenant_id: Any, batches: int) -> None:
    """Every span is there once (R2's too: same table), every model call has its ledger entry."""
    calls = sum(1 for n in range(BATCH) if RUN[n % len(RUN)] == "chat")
    with db.tenants([tenant_id]):
        events, entries = Event.objects.count(), LedgerEntry.objects.count()
    if (events, entries) != (2 * batches * BATCH, batches * calls):
        raise RuntimeError(
            f"{events} events and {entries} ledger entries landed; {2 * batches * BATCH} and "
            f"{batches * calls} were expected"
        )


# --- CPU ------------------------------------------------------------------------------------------------------


def _postgres_pids() -> Callable[[], set[int]]:
    """Gives the server's processes as they are now: the postmaster and its children."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = cursor.fetchone()[0]
    postmaster = _parents().get(backend)
    if postmaster is None:
        raise RuntimeError(
            "This bench reads the CPU time of PostgreSQL from /proc; it must run on this machine."
        )
    return lambda: {postmaster, *_descendants(postmaster)}


def _cpu(pids: set[int]) -> float:
    """CPU seconds of these processes and of their children that have ended."""
    total = 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            total += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return total / TICKS


def _stat(pid: int) -> list[str]:
    """/proc/<pid>/stat after the name; [] for one that has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parents() -> dict[int, int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return {pid: int(fields[1]) for pid in pids if (fields := _stat(pid))}


def _descendants(pid: int) -> set[int]:
    parents, found = _parents(), set()
    waiting = [pid]
    while waiting:
        above = waiting.pop()
        below = [child for child, parent in parents.items() if parent == above]
        found.update(below)
        waiting += below
    return found
