"""Whether what is stored still is what its digest, and what the sealed records, say: one row at once when it is read,
all of them every night."""

from datetime import datetime, time, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import BinaryField, CharField, F, Func, IntegerField, Q, Value
from django.db.models.functions import Concat

from arm import changes, clock, ports
from arm.models import Tenant

from ..models import (
    AgentVersion,
    Dependency,
    Genome,
    IntegrityFinding,
    IntegritySweep,
    Prompt,
    recorded_genome,
)

ROWS: Final = 5000
OCTETS: Final = 64 * 1024 * 1024
"""A step looks at no more rows and bytes than this; its transaction is over in a second or so."""
NIGHTLY: Final = time(2, 0)
"""UTC. A night that was missed is made up for as soon as somebody looks."""

_PHASES = (
    (IntegritySweep.Phase.GENOMES, Genome, "genomes"),
    (IntegritySweep.Phase.PROMPTS, Prompt, "prompts"),
)
_BEFORE_ALL: Final = UUID(int=0)


class OctetLength(Func):
    """How many bytes a value has; its length is read, the value is not."""

    function, output_field = "octet_length", IntegerField()


class Sha256(Func):
    """SHA-256 of bytes, as bytes."""

    function, output_field = "sha256", BinaryField()


class Encode(Func):
    """Bytes as text."""

    function, output_field = "encode", CharField()


@transaction.atomic
def begin_sweep(*, tenant_id: UUID) -> IntegritySweep | None:
    """The round that is under way, or a new one if none has begun since the last night; None where nothing is due."""
    Tenant.objects.select_for_update().get(pk=tenant_id)
    held = IntegritySweep.objects.filter(tenant=tenant_id)
    if under_way := held.filter(finished_at=None).first():
        return under_way
    if held.filter(began_at__gte=_last_night(clock.now())).exists():
        return None
    return IntegritySweep.objects.create(tenant_id=tenant_id)


def _last_night(now: datetime) -> datetime:
    tonight = datetime.combine(now.date(), NIGHTLY, now.tzinfo)
    return tonight if tonight <= now else tonight - timedelta(days=1)


@transaction.atomic
def sweep_on(*, sweep_id: UUID) -> bool:
    """Recompute the digests of the next rows of a round. Whether there is more to look at.

    A row that does not match opens an incident and is marked; one that matches again is marked no more.
    """
    sweep = IntegritySweep.objects.select_for_update().get(pk=sweep_id)
    if sweep.phase == IntegritySweep.Phase.VERSIONS:
        return _versions_on(sweep)
    phase = next((found for found in _PHASES if found[0] == sweep.phase), None)
    if phase is None:
        return False
    _, model, counter = phase
    rows, octets, last, found = _looked_at(model, sweep)
    for row in model._default_manager.defer("content").filter(pk__in=found):
        note_tampered(row, found[row.pk], sweep=sweep)
    if last is not None:
        _note_restored(model, sweep, last, found)
    setattr(sweep, counter, getattr(sweep, counter) + rows)
    sweep.octets += octets
    sweep.wrong += len(found)
    sweep.reached = last
    if last is None:
        _next_phase(sweep)
    sweep.save(update_fields=["genomes", "prompts", "octets", "wrong", "reached", "phase", "finished_at"])
    return sweep.finished_at is None


def _looked_at(
    model: type[Genome] | type[Prompt], sweep: IntegritySweep
) -> tuple[int, int, UUID | None, dict[UUID, str]]:
    """How many rows and bytes this step hashed, the last key of them, and the digests of those that do not match.

    PostgreSQL hashes, so that no genome need be held here; fetching the bytes instead measures about the same
    (`bench/digest_sweep.py`).
    """
    rows = model._default_manager.filter(tenant=sweep.tenant_id, pk__gt=sweep.reached or _BEFORE_ALL)
    weighed = rows.order_by("pk").values_list("pk", OctetLength("content"))
    looked, octets, last = 0, 0, None
    for last, size in weighed[:ROWS]:  # noqa: B007 - the last one counts
        looked, octets = looked + 1, octets + size
        if octets >= OCTETS:
            break
    if last is None:
        return 0, 0, None, {}
    computed = Concat(Value("sha256:"), Encode(Sha256("content"), Value("hex")), output_field=CharField())
    wrong = rows.filter(pk__lte=last).annotate(computed=computed).exclude(computed=F("digest"))
    return looked, octets, last, dict(wrong.values_list("pk", "computed"))


def _next_phase(sweep: IntegritySweep) -> None:
    phases = list(IntegritySweep.Phase)
    sweep.phase = phases[phases.index(IntegritySweep.Phase(sweep.phase)) + 1]
    if sweep.phase == IntegritySweep.Phase.DONE:
        sweep.finished_at = clock.now()


def _note_restored(
    model: type[Genome] | type[Prompt], sweep: IntegritySweep, last: UUID, wrong: dict[UUID, str]
) -> None:
    """Rows of this step that were marked and match again."""
    name = model._meta.model_name
    marked = IntegrityFinding.objects.filter(
        Q(**{f"{name}__gt": sweep.reached or _BEFORE_ALL}),
        Q(**{f"{name}__lte": last}),
        tenant=sweep.tenant_id,
        restored_at=None,
        version=None,
    )
    for finding in marked.exclude(**{f"{name}__in": wrong}).select_related(name):
        finding.restored_at = clock.now()
        finding.save(update_fields=["restored_at"])
        said = "Its bytes match its digest again."
        changes.record(None, f"registry.{name}.restored", getattr(finding, str(name)), reason=said)


@transaction.atomic
def note_tampered(
    row: Genome | Prompt, computed: str, *, sweep: IntegritySweep | None = None
) -> IntegrityFinding:
    """Mark a row whose bytes are not those of its digest, once, and open an incident about what it defines."""
    name = str(row._meta.model_name)
    subject = _subject(row)
    facts = {name: row.typeid, "stored_digest": row.digest, "computed_digest": computed}
    incident = ports.incidents().open(
        tenant_id=row.tenant_id,
        kind="tamper",
        severity="s0",
        title=f"The stored {name} {row.digest[:19]} of {subject} does not match its digest",
        subject_kind=subject._meta.label_lower,
        subject_id=subject.pk,
        facts=facts,
        harm=isinstance(subject, AgentVersion),
    )
    finding, new = IntegrityFinding.objects.get_or_create(
        **{name: row},
        version=None,
        restored_at=None,
        defaults={
            "tenant_id": row.tenant_id,
            "sweep": sweep,
            "digest": row.digest,
            "computed": computed,
            "incident_id": incident,
        },
    )
    if new:
        said = "Its stored bytes do not match its digest."
        changes.record(None, f"registry.{name}.tampered", row, after=facts, reason=said)
    return finding


def _versions_on(sweep: IntegritySweep) -> bool:
    """Hold the genomes of the next versions against the records that chose them. A version without such a record is
    passed over: there is nothing to hold it against."""
    rows = AgentVersion.objects.filter(tenant=sweep.tenant_id, pk__gt=sweep.reached or _BEFORE_ALL)
    keys = list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS])
    looked = AgentVersion.objects.filter(pk__in=keys).select_related("genome").defer("genome__content")
    wrong = (
        looked.annotate(recorded=recorded_genome())
        .exclude(recorded=None)
        .exclude(recorded=F("genome__digest"))
    )
    found = {version.pk: version for version in wrong}
    for version in found.values():
        note_another(version, version.recorded, sweep=sweep)  # type: ignore[attr-defined]
    marked = IntegrityFinding.objects.filter(version__in=set(keys) - set(found), restored_at=None)
    for finding in marked.select_related("version"):
        assert finding.version is not None
        finding.restored_at = clock.now()
        finding.save(update_fields=["restored_at"])
        said = "Its genome is the one that its records name again."
        changes.record(None, "registry.version.restored", finding.version, reason=said)
    sweep.versions += len(keys)
    sweep.wrong += len(found)
    sweep.reached = keys[-1] if keys else None
    if not keys:
        _next_phase(sweep)
    sweep.save(update_fields=["versions", "wrong", "reached", "phase", "finished_at"])
    return sweep.finished_at is None


@transaction.atomic
def note_another(version: AgentVersion, recorded: str, *, sweep: IntegritySweep | None = None) -> None:
    """Mark a version whose genome is not the one that its sealed records name, once, and open an incident."""
    facts = {"version": version.typeid, "recorded_digest": recorded, "stored_digest": version.genome.digest}
    incident = ports.incidents().open(
        tenant_id=version.tenant_id,
        kind="tamper",
        severity="s0",
        title=f"The genome of {version} is not the one that its records name"[:200],
        subject_kind=version._meta.label_lower,
        subject_id=version.pk,
        facts=facts,
        harm=True,
    )
    shown = {"digest": recorded, "computed": version.genome.digest, "incident_id": incident}
    _, new = IntegrityFinding.objects.get_or_create(
        version=version,
        restored_at=None,
        defaults={"tenant_id": version.tenant_id, "genome": version.genome, "sweep": sweep, **shown},
    )
    if new:
        said = "Its genome is not the one that its records name."
        changes.record(None, "registry.version.tampered", version, after=facts, reason=said)


def _subject(row: Genome | Prompt) -> AgentVersion | Tenant:
    """What an incident about these bytes is about: the first version that they define, else what they belong to."""
    versions = AgentVersion.objects.order_by("pk")
    if isinstance(row, Genome):
        return versions.filter(genome=row).first() or row.template  # type: ignore[return-value]
    using = Dependency.objects.filter(tenant=row.tenant_id, kind=Dependency.Kind.PROMPT, name=row.digest)
    return versions.filter(pk__in=using.values("version")).first() or row.tenant


@transaction.atomic
def recount_live(*, tenant_id: UUID) -> int:
    """Hold what is kept of live instances against the instances there are, and mend it where somebody wrote behind the
    triggers (a restored dump, a switched-off trigger). Returns how many versions were off; a record says so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT registry_recount_live(%s)", [tenant_id])
        corrected = int(cursor.fetchone()[0])
    if corrected:
        said = "What was kept of live instances was not what there is."
        tenant = Tenant.objects.get(pk=tenant_id)
        changes.record(
            None, "registry.live_counts.corrected", tenant, after={"versions": corrected}, reason=said
        )
    return corrected
