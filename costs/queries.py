"""What the work cost, by any tag: from the daily sums, which are never apart from the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.urls import reverse

from arm import ids
from registry.models import AgentInstance, AgentVersion, DeploymentSlot

from .models import LedgerEntry, SpendRollup, money
from .pricing import Basis

NONE = "none"
JOBS = 500
"""The dearest jobs that are shown; a tenant has as many as it has work."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A way to group spend: `key` is what the ledger filters by, `label` names the fields that people read."""

    name: str
    title: str
    key: str
    label: tuple[str, ...] = ()
    prefix: str = ""
    filter: str = ""


TAGS = {
    tag.name: tag
    for tag in (
        Tag("environment", "Environment", "environment__slug", ("environment__name",)),
        Tag("template", "Agent", "template_id", ("template__name",), "tpl"),
        Tag("version", "Version", "version_id", ("version__template__name", "version__number"), "ver"),
        Tag("instance", "Instance", "instance_id", ("instance__name",), "ins"),
        Tag("role", "Role", "role__slug", ("role__name",)),
        Tag("cost_center", "Cost centre", "cost_center__text"),
        Tag("job", "Job", "job"),
        Tag("outcome", "Outcome", "outcome__text"),
        Tag("provider", "Model provider", "model_provider__text", filter="model_provider"),
        Tag("model", "Model", "model__text"),
        Tag("tenant", "Tenant", "tenant__slug", ("tenant__name",)),
    )
}


@dataclass(frozen=True, slots=True)
class Line:
    """What one value of a tag cost in one currency, and where its ledger entries are."""

    key: str
    label: str
    currency: str
    amount: Decimal
    calls: int
    input_tokens: int
    output_tokens: int
    url: str


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the spend of which something is not known."""

    amount: Decimal
    calls: int
    url: str


@dataclass(frozen=True, slots=True)
class Spend:
    """The answer for a period; `lines` dearest first. Amounts of different currencies are never added."""

    since: date
    until: date
    currency: str
    currencies: list[str]
    total: Decimal
    calls: int
    lines: list[Line]
    unattributed: Share
    unpriced: Share
    days: list[tuple[date, Decimal]]
    url: str


def spend(
    rollups: QuerySet[SpendRollup],
    entries: QuerySet[LedgerEntry],
    *,
    tag: Tag,
    since: date,
    until: date,
    currency: str = "",
    home: str = "USD",
) -> Spend:
    """What these rows say about `since` to `until` (both days included), grouped by `tag`, in one currency: the one
    asked for, else the tenant's own, else the one with most calls."""
    rows = rollups.filter(day__gte=since, day__lte=until).order_by()
    by_currency = dict(rows.values_list("currency__text").annotate(n=Sum("calls")))
    names = sorted(by_currency, key=lambda name: -by_currency[name])
    chosen = currency or (home if home in by_currency or not names else names[0])
    rows = rows.filter(currency__text=chosen)
    sums = rows.aggregate(
        amount=Sum("amount_picos", default=0),
        all_calls=Sum("calls", default=0),
        loose=Sum("amount_picos", filter=Q(attributed=False), default=0),
        loose_calls=Sum("calls", filter=Q(attributed=False), default=0),
        unpriced_calls=Sum("calls", filter=Q(basis=Basis.UNPRICED), default=0),
    )
    period = {"since": since.isoformat(), "until": (until + timedelta(days=1)).isoformat()}
    period["currency"] = chosen
    if tag.name == "job":
        lines = _jobs(entries, since, until, chosen, period)
    else:
        lines = _lines(rows, tag, chosen, period)
    per_day = dict(rows.values_list("day").annotate(n=Sum("amount_picos")))
    days = [since + timedelta(days=n) for n in range((until - since).days + 1)]
    return Spend(
        since=since,
        until=until,
        currency=chosen,
        currencies=names,
        total=money(sums["amount"]),
        calls=sums["all_calls"],
        lines=lines,
        unattributed=Share(
            money(sums["loose"]), sums["loose_calls"], ledger_url(period | {"attributed": "false"})
        ),
        unpriced=Share(Decimal(0), sums["unpriced_calls"], ledger_url(period | {"basis": "unpriced"})),
        days=[(day, money(per_day.get(day, 0))) for day in days],
        url=ledger_url(period),
    )


def spent_on(rollups: QuerySet[SpendRollup], day: date) -> list[tuple[str, Decimal, int]]:
    """(currency, amount, calls) of one day, dearest first."""
    rows = rollups.filter(day=day).order_by().values_list("currency__text")
    summed = rows.annotate(amount=Sum("amount_picos"), n=Sum("calls"))
    return sorted(((name, money(amount), n) for name, amount, n in summed), key=lambda one: -one[1])


def spent_since(rollups: QuerySet[SpendRollup], since: date) -> list[tuple[str, Decimal, int, int]]:
    """(currency, amount, calls, calls without a price) from that day on, dearest first."""
    summed = (
        rollups.filter(day__gte=since)
        .order_by()
        .values_list("currency__text")
        .annotate(
            amount=Sum("amount_picos"),
            n=Sum("calls"),
            blind=Sum("calls", filter=Q(basis=Basis.UNPRICED), default=0),
        )
    )
    return sorted(
        ((name, money(amount), n, blind) for name, amount, n, blind in summed), key=lambda one: -one[1]
    )


def ledger_url(query: Mapping[str, str]) -> str:
    """The ledger's page, showing the rows behind a number."""
    return f"{reverse('costs:ledger')}?{urlencode(query)}"


def _lines(rows: QuerySet[SpendRollup], tag: Tag, currency: str, period: Mapping[str, str]) -> list[Line]:
    grouped = rows.values(tag.key, *tag.label).annotate(
        spent=Sum("amount_picos"),
        n=Sum("calls"),
        tokens_in=Sum("input_tokens"),
        tokens_out=Sum("output_tokens"),
    )
    return [
        Line(
            key=_key(tag, row[tag.key]),
            label=_label(tag, row),
            currency=currency,
            amount=money(row["spent"]),
            calls=row["n"],
            input_tokens=row["tokens_in"],
            output_tokens=row["tokens_out"],
            url=ledger_url({**period, **_narrowed(tag, row[tag.key])}),
        )
        for row in sorted(grouped, key=lambda row: -row["spent"])
    ]


def _narrowed(tag: Tag, value: Any) -> dict[str, str]:
    return {} if tag.name == "tenant" else {tag.filter or tag.name: _key(tag, value)}


def _jobs(
    entries: QuerySet[LedgerEntry], since: date, until: date, currency: str, period: Mapping[str, str]
) -> list[Line]:
    """Jobs are not in the daily sums: they are summed from the entries."""
    rows = entries.filter(
        occurred_at__gte=_midnight(since),
        occurred_at__lt=_midnight(until + timedelta(days=1)),
        currency__text=currency,
    ).order_by()
    grouped = rows.values_list("job").annotate(
        spent=Sum("amount_picos"),
        n=Count("entry_id"),
        tokens_in=Sum("input_tokens", default=0),
        tokens_out=Sum("output_tokens", default=0),
    )
    return [
        Line(
            job or NONE,
            job or "no job",
            currency,
            money(amount),
            calls,
            tokens_in,
            tokens_out,
            ledger_url({**period, "job": job or NONE}),
        )
        for job, amount, calls, tokens_in, tokens_out in grouped.order_by("-spent")[:JOBS]
    ]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def _key(tag: Tag, value: UUID | str | None) -> str:
    if value is None or value == "":
        return NONE
    return ids.encode(tag.prefix, value) if isinstance(value, UUID) else value


def _label(tag: Tag, row: Mapping[str, Any]) -> str:
    if row[tag.key] in (None, ""):
        return f"no {tag.title.lower()}"
    if tag.name == "version":
        return f"{row['version__template__name']} v{row['version__number']}"
    return str(row[tag.label[0]] if tag.label else row[tag.key])


@dataclass(frozen=True, slots=True)
class PerCall:
    """What one priced call costs on average, in 10^-12 of the currency."""

    each: int
    calls: int
    currency: str


def per_call(
    version: AgentVersion, slots: Sequence[DeploymentSlot], since: datetime, until: datetime
) -> PerCall | None:
    """Of the version's instances in these slots. None where nothing was booked, or in more than one currency."""
    instances = list(
        AgentInstance.objects.filter(version=version, slot__in=slots).values_list("pk", flat=True)
    )
    rows = LedgerEntry.objects.between(since, until).filter(instance__in=instances, version=version)
    priced = rows.exclude(basis=Basis.UNPRICED).order_by().values_list("currency__text")
    found = list(priced.annotate(calls=Count("entry_id"), picos=Sum("amount_picos"))[:2])
    if len(found) != 1:
        return None
    currency, calls, picos = found[0]
    return PerCall(int(picos) // calls, calls, str(currency))
