"""Whatever a sender puts into one body: what is linked, flagged, held, charged and said of jobs is the same in columns and
one by one. Bodies are made at random, by seed: several processes, traces they share, bindings that change in the middle of
a block, clocks at the edge of what is kept, midnight, prices of every kind."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from arm import ids
from costs.pricing import Basis, Price, PriceBook, RateLine, rates
from costs.services import booking
from telemetry.parsing import PROTOBUF, batches, layouts, packing, parse
from telemetry.parsing.layouts import Layouts
from telemetry.queries.credentials import Credential
from telemetry.queries.directory import KnownInstance, KnownVersion, Seen
from telemetry.services import ingesting, linking
from tests.telemetry.writing import Codes, rows_in

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
SECOND = 1_000_000
KINDS = ["chat", "execute_tool", "invoke_agent", "dream"]
MODELS = ["gpt-4o-2024-08-06", "own", "tiered", "nobody", None]
TOKENS = ["input_tokens", "cache_read.input_tokens", "cache_creation.input_tokens", "output_tokens"]


def _id(number: int) -> UUID:
    return UUID(int=(0x0190 << 112) | (7 << 76) | (2 << 62) | number)


TENANT, PROVIDER, PROD, TEMPLATE = _id(1), _id(2), _id(3), _id(4)
VERSIONS = [
    KnownVersion(_id(100), TEMPLATE, frozenset({"gpt-4o", "own"}), {}),
    KnownVersion(_id(101), TEMPLATE, frozenset({"gpt-4o"}), {"search": "d1"}),
]
OLD, NEW = VERSIONS[0].id, VERSIONS[1].id
BINDINGS = [
    [(0, None, OLD)],
    [(NOW - 30 * SECOND, None, NEW), (0, NOW - 30 * SECOND, OLD)],
    [(NOW - 20 * SECOND, None, NEW), (0, NOW - 40 * SECOND, OLD)],  # bound to nothing for twenty seconds
]
INSTANCES = {
    _id(200 + n): KnownInstance(
        _id(200 + n),
        TENANT,
        PROVIDER,
        PROD,
        TEMPLATE,
        _id(9) if n else None,
        ["", "cc-x", "cc-y"][n],
        bindings,
    )
    for n, bindings in enumerate(BINDINGS)
}
CREDENTIAL = Credential(_id(8), TENANT, "acme", PROD, PROVIDER, "local", None, 30, None)


class Directory:
    """These instances and versions, and nobody else."""

    def look_up(self, instances: Any, versions: Any) -> Seen:
        known = {version.id: version for version in VERSIONS}
        found = {id: INSTANCES.get(id) for id in instances}
        return Seen(found, {id: known.get(id) for id in {*versions, OLD, NEW}})

    def by_alias(self, provider: UUID, environment: UUID, alias: str) -> UUID | None:
        return _id(201) if alias == "k8s.pod.uid=pod-1" else None


def prices(source: random.Random) -> PriceBook:
    """A rate card with a price that changes between the spans, and a model with tiers."""
    change = datetime.fromtimestamp((NOW - 25 * SECOND) / SECOND, UTC)

    def price(dollars: str, currency: str = "EUR") -> Price:
        each = Decimal(dollars)
        return Price(
            rates(input_mtok=each, output_mtok=2 * each), currency, Basis.RATE_CARD, f"card@{dollars}"
        )

    lines = [
        RateLine("", "own", change, None, price("3.333333333")),
        RateLine("", "own", change - timedelta(days=9), change, price("0.000000001", "USD")),
    ]
    if source.random() < 0.3:
        lines.append(
            RateLine("openai", "gpt-4o*", change - timedelta(days=99), None, price("999999999.999999999"))
        )
    book = PriceBook(lines)
    tiers = ((200_000, price("5.1").base), (1_000, price("0.15").base))
    book._found["openai", "tiered"] = Price(price("2.5").base, "USD", Basis.LIST, "list", tiers)
    return book


def body(source: random.Random) -> bytes:
    """Some processes with spans of a few kinds each."""
    request = ExportTraceServiceRequest()
    ago = source.choice([0, 10, 22, 30, 40, (NOW % DAY) // SECOND, 30 * DAY // SECOND, -600])
    base = (NOW - ago * SECOND) * 1000 - source.choice([0, SECOND * 10**3])
    traces = [source.randbytes(16) for _ in range(source.randint(1, 5))]
    job_of = {trace: source.choice(["job-A", "job-B", "job-C"]) for trace in traces}
    for _ in range(source.randint(1, 3)):
        group = request.resource_spans.add()
        shared = {"arm.version.id": ids.encode("ver", source.choice([OLD, OLD, NEW]))}
        if source.random() < 0.9:
            shared["arm.instance.id"] = ids.encode("ins", _id(source.choice([200, 200, 201, 202, 202, 299])))
        else:
            shared["k8s.pod.uid"] = source.choice(["pod-1", "pod-2"])
        if source.random() < 0.2:
            shared["arm.job.id"] = "nightly"
        for key, value in shared.items():
            group.resource.attributes.add(key=key).value.string_value = value
        spans = group.scope_spans.add().spans
        for kind in range(source.randint(1, 3)):
            _kind(source, spans, f"kind-{kind}", base, traces, job_of)
    return request.SerializeToString()


def _kind(
    source: random.Random, spans: Any, name: str, base: int, traces: list[bytes], job_of: dict[bytes, str]
) -> None:
    """Spans of one kind: the same attributes in the same order, other values."""
    same: dict[str, object] = {"gen_ai.operation.name": source.choice(KINDS), "arm.any%note": "100%busy %s"}
    if model := source.choice(MODELS):
        same |= {"gen_ai.provider.name": "openai", "gen_ai.response.model": model}
    if source.random() < 0.2:
        same["gen_ai.tool.name"] = "search"
    if source.random() < 0.1:
        same["error.type"] = "timeout"
    if source.random() < 0.1:
        same["arm.cost.amount"] = 0.25
    counted = [f"gen_ai.usage.{token}" for token in TOKENS if source.random() < 0.5]
    most, parent = source.choice([100, 5_000, 300_000, 2**31 - 1]), source.random() < 0.6
    names_job, names_id = source.random() < 0.4, source.random() < 0.5
    spread = source.choice([SECOND, 2 * SECOND * 1000])
    for _ in range(source.choice([1, 12, 40])):
        trace = source.choice(traces)
        span = spans.add(trace_id=trace, span_id=source.randbytes(8), name=name)
        if parent:
            span.parent_span_id = source.randbytes(8)
        span.start_time_unix_nano = base + source.randrange(spread)
        span.end_time_unix_nano = span.start_time_unix_nano + source.randrange(10**10)
        if source.random() < 0.01:
            span.end_time_unix_nano = source.choice([0, 2**64 - 1])
        attributes = same | {key: source.randrange(most) for key in counted}
        if names_id:
            attributes["gen_ai.response.id"] = f"chatcmpl-{source.getrandbits(32):08x}"
        if names_job:
            attributes["arm.job.id"] = job_of[trace] if source.random() < 0.99 else "job-Z"
        for key, value in attributes.items():
            kind = {int: "int_value", float: "double_value", str: "string_value"}[type(value)]
            setattr(span.attributes.add(key=key).value, kind, value)


def landed(data: bytes, *, singly: bool) -> tuple[dict[str, Any], int]:
    """What is stored of a body, and how many events of it were read in columns."""
    try:
        if singly:
            raise linking.OneByOne
        batch = parse(data, PROTOBUF, tenant_id=TENANT, provider_id=PROVIDER)
        linked, held = linking.link(batch, CREDENTIAL, Directory(), NOW)  # type: ignore[arg-type]
    except linking.OneByOne:
        batch = parse(data, PROTOBUF, tenant_id=TENANT, provider_id=PROVIDER, singly=True)
        linked, held = linking.link(batch, CREDENTIAL, Directory(), NOW)  # type: ignore[arg-type]
    codes = Codes({None: packing.NULL})
    days = packing.by_day(linked.events)
    rows = {
        day: rows_in(
            packing.rows(
                days.get(day, ()),
                [one for one in linked.blocks if one.day == day],
                codes=codes,
                received_us=NOW,
            )
        )
        for day in {*days, *(block.day for block in linked.blocks)}
    }
    entries = booking.Booking(TENANT, codes)
    entries.add(linked.events, linked.blocks)
    sums: dict[str, list[int]] = {}
    for (day, place, *tags), totals in entries._sums.items():
        key = repr((day, place.columns, place.role, tags))
        sums[key] = [a + b for a, b in zip(sums.get(key, [0] * 5), totals, strict=True)]
    found = {
        "rows": rows,
        "ledger": {day: rows_in(stream) for day, stream in entries.rows.items()},
        "sums": sums,
        "held": sorted((one.id, one.reason, one.detail, one.payload) for one in held),
        "jobs": linked.jobs(),
        "names": ingesting.names(linked),
        "events": len(linked),
    }
    return found, sum(map(len, linked.blocks))


@pytest.mark.parametrize("seed", range(8))
def test_a_body_lands_the_same_in_columns_and_one_by_one(monkeypatch, seed):
    monkeypatch.setattr(linking, "exists_elsewhere", lambda id: False)
    monkeypatch.setattr(layouts, "PATIENCE", 10**9)
    together, reasons = 0, Counter()
    for n in range(25):
        source = random.Random(1_000 * seed + n)
        few = source.choice([1, 24])
        for module in (batches, layouts):
            monkeypatch.setattr(module, "FEW", few)
        monkeypatch.setattr(layouts, "FEWEST", min(few, layouts.FEWEST))
        monkeypatch.setattr(batches, "_layouts", Layouts())
        book = prices(source)
        monkeypatch.setattr(booking, "price_book", lambda tenant_id, book=book: book)
        data = body(source)
        parse(
            data, PROTOBUF, tenant_id=TENANT, provider_id=PROVIDER, singly=True
        )  # now its layouts are known
        in_columns, count = landed(data, singly=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Layouts, "read", lambda self, data: None)
            one_by_one, _ = landed(data, singly=True)
        for part, what in one_by_one.items():
            assert in_columns[part] == what, (seed, n, part)
        together += count
        reasons.update(reason for _, reason, _, _ in one_by_one["held"])
    assert together > 100 and reasons, "the seeds are to reach both ways"
