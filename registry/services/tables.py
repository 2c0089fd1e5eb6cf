"""Tables that somebody sends: kept, judged as a whole without storing anything, then applied part by part.

Every step is a transaction that holds the import's row, does a part and notes how far it is: a worker that is killed
leaves whole parts, and whoever goes on begins after the last of them.
"""

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from arm import changes, clock, crypto, tasks
from arm.errors import Conflict, DomainError, NotAllowed, Problem
from arm.models import Tenant, User
from arm.permissions import held_anywhere, require
from arm.rights import Right

from ..lifecycle import ImportState
from ..models import TableImport
from ..protocol.rows import MOST_PROBLEMS, of_rows
from ..protocol.sheet import Sheet, read_sheet
from .answering import in_turn
from .asking import Duplicate, require_reason
from .bulk import judge_instances, store_instances
from .bulk_templates import judge_templates, store_templates
from .judging import Judged

AT_ONCE = 500
"""Rows that are judged or applied in one transaction; a file of no more is judged while its sender waits."""
ON_ITS_WAY = (ImportState.CHECKING, ImportState.CHECKED, ImportState.APPLYING)
USES = {
    TableImport.Kind.TEMPLATES: frozenset({Right.CREATE_VERSION.value, Right.MANAGE_DIRECTORY.value}),
    TableImport.Kind.INSTANCES: frozenset({Right.PROVISION_INSTANCE.value}),
}
STALLED = timedelta(seconds=60)
TASK = "registry.tasks.work_off_table"
UNENDED = "ARM could not work on these {count} rows, which begin here, and nothing of them is stored; its log says why."
LETTERS = {"create": "c", "update": "u", "same": "s"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One part of the work: the rows from `start` on, in this state of the import."""

    start: int
    state: ImportState


@transaction.atomic
def send_table(
    *, tenant: Tenant, kind: TableImport.Kind, file_name: str, data: bytes, actor: User
) -> TableImport:
    """Keep a table and judge what it would do; nothing of it is stored in the directory yet. Sent again by the same person
    while it is on its way, it is the same import. Invalid where it is no such table; Duplicate where the very file was
    applied, has stopped, or is somebody else's."""
    require(actor, Right.READ_DIRECTORY, tenant)
    _require_use(actor, kind)
    sheet = read_sheet(data, kind)
    digest = crypto.digest(data)
    if held := _sent_before(tenant, kind, digest):
        if held.created_by_id == actor.pk and held.state in ON_ITS_WAY:
            return held
        raise Duplicate(f"This very file was sent before: {held.get_state_display().lower()}.", held)
    table = TableImport.objects.create(
        tenant=tenant,
        kind=kind,
        file_name=file_name[-200:] or "table.csv",
        digest=digest,
        content=data,
        total=sheet.total,
        passed_over=list(sheet.passed_over),
        created_by=actor,
    )
    after = {"kind": kind, "file": table.file_name, "digest": digest, "rows": sheet.total}
    changes.record(actor, "registry.table.sent", table, after=after)
    if sheet.total <= AT_ONCE:
        take_table_step(table_id=table.pk, sheet=sheet, step=Step(0, ImportState.CHECKING))
        table.refresh_from_db()
    else:
        _enqueue(table)
    return table


def _require_use(actor: User, kind: TableImport.Kind) -> None:
    """Whoever may do nowhere what such rows do starts no work on them. What each row asks is judged with it."""
    if not held_anywhere(actor) & USES[kind]:
        raise NotAllowed(f"You may do nowhere here what a table of {kind.label.lower()} does.")


def _sent_before(tenant: Tenant, kind: TableImport.Kind, digest: str) -> TableImport | None:
    """The import of the very file that was not left undone. Of two at once, the second waits for the first."""
    with connection.cursor() as cursor:
        lock = f"registry.table {tenant.pk} {kind} {digest}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
    over = (ImportState.CANCELLED, ImportState.REFUSED)
    rows = TableImport.objects.filter(tenant=tenant, kind=kind, digest=digest)
    return rows.exclude(state__in=over).first()


@transaction.atomic
def apply_table(*, table: TableImport, actor: User, reason: str) -> TableImport:
    """Do what the table says, in the background where it is long: by whoever sent it, once it was judged without a
    mistake, or from where it has stopped."""
    require(actor, Right.READ_DIRECTORY, table)
    _require_use(actor, TableImport.Kind(table.kind))
    require_reason(reason)
    table = TableImport.objects.select_for_update(of=("self",)).select_related("created_by").get(pk=table.pk)
    if actor.pk != table.created_by_id:
        raise NotAllowed(f"{table.created_by} has sent this table and applies it; send it yourself to do so.")
    if not table.may_apply:
        raise Conflict(
            f"The table is {table.get_state_display().lower()}; only one that is ready is applied."
        )
    before = {"state": table.state, "done": table.done}
    if table.state == ImportState.CHECKED:
        table.done = 0
    table.state, table.problems, table.bad = ImportState.APPLYING, [], 0
    table.reason, table.touched_at, table.finished_at = reason, clock.now(), None
    table.credential = changes.credential.get()
    table.save(
        update_fields=[
            *("state", "problems", "bad", "reason", "credential", "touched_at", "finished_at", "done")
        ]
    )
    after = {"state": table.state, "counts": table.counts, "digest": table.digest}
    changes.record(actor, "registry.table.applied", table, before=before, after=after, reason=reason)
    if table.total <= AT_ONCE:
        sheet = read_sheet(bytes(table.content), table.kind)
        take_table_step(table_id=table.pk, sheet=sheet, step=Step(table.done, ImportState.APPLYING))
        table.refresh_from_db()
    else:
        _enqueue(table)
    return table


@transaction.atomic
def cancel_table(*, table: TableImport, actor: User, reason: str) -> TableImport:
    """Leave what is not applied yet undone; what was applied stays."""
    require(actor, Right.READ_DIRECTORY, table)
    require_reason(reason)
    table = TableImport.objects.select_for_update(of=("self",)).get(pk=table.pk)
    if actor.pk != table.created_by_id:
        require(actor, Right.MANAGE_DIRECTORY, table)
    if not table.may_cancel:
        raise Conflict(f"The table is {table.get_state_display().lower()}; it cannot be cancelled.")
    before = {"state": table.state}
    table.state, table.finished_at = ImportState.CANCELLED, clock.now()
    table.save(update_fields=["state", "finished_at"])
    changes.record(actor, "registry.table.cancelled", table, before=before, reason=reason)
    return table


def next_step(table: TableImport) -> Step | None:
    """What is to be done next; None where nothing is."""
    return Step(table.done, ImportState(table.state)) if table.live else None


@transaction.atomic
def take_table_step(*, table_id: UUID, sheet: Sheet, step: Step) -> Step | None:
    """Judge or apply one part; the step that follows, or None at the end. A step that another worker has taken already
    is not taken again."""
    table = (
        TableImport.objects.select_for_update(of=("self",))
        .select_related("created_by", "tenant")
        .get(pk=table_id)
    )
    if next_step(table) != step:
        return None
    count = min(AT_ONCE, table.total - table.done)
    applying = step.state is ImportState.APPLYING
    judged = Judged()
    table.touched_at = clock.now()
    try:  # nobody would come to end a table that its own task can never finish
        with transaction.atomic():
            judged = _judged(table, sheet, step.start, count)
            if applying and not judged.problems:
                _store(table, judged)
    except DomainError as refusal:
        judged.wrong(step.start, "", refusal.code, refusal.message)
        judged.bad += 1
    except (OperationalError, InterfaceError):
        raise  # the connection's: the table is woken again in a while
    except Exception:
        log.exception("A part of a table was not ended.", extra={"table": str(table.pk)})
        judged = Judged()
        judged.wrong(step.start, "", "failed", UNENDED.format(count=f"{count:,}"))
        judged.bad += 1
    if applying and judged.problems:
        table.state, table.finished_at = ImportState.FAILED, clock.now()
        table.problems, table.bad = list(judged.problems), judged.bad
        table.save(update_fields=["state", "finished_at", "problems", "bad", "touched_at"])
        return None
    if not applying:
        table.plan += "".join(
            LETTERS.get(judged.outcomes.get(at, ""), "!") for at in range(step.start, step.start + count)
        )
        table.bad = table.plan.count("!")
        table.problems = [*table.problems, *judged.problems][:MOST_PROBLEMS]
    table.done += count
    if table.done == table.total:
        over = ImportState.APPLIED if applying else ImportState.REFUSED if table.bad else ImportState.CHECKED
        table.state = over
        table.finished_at = clock.now() if applying or table.bad else None
    table.save(update_fields=["state", "done", "bad", "plan", "problems", "touched_at", "finished_at"])
    return next_step(table)


def _store(table: TableImport, judged: Judged) -> None:
    """By whoever applied it and with what they came with, though a worker does it: the records of the rows say so."""
    token = changes.credential.set(table.credential)
    try:
        if table.kind == TableImport.Kind.INSTANCES:
            store_instances(judged.create, table.created_by, table.reason)
        else:
            store_templates(judged, table.created_by, table.reason)
    finally:
        changes.credential.reset(token)


def _judged(table: TableImport, sheet: Sheet, start: int, count: int) -> Judged:
    """What these rows come to, by the rights of whoever sent them."""
    rows = sheet.part(start, count)
    if table.kind == TableImport.Kind.INSTANCES:
        judged = judge_instances(table.tenant, rows, table.created_by)  # type: ignore[arg-type]
    else:
        in_turn(table.tenant, rows, table.created_by)  # type: ignore[arg-type]
        judged = judge_templates(table.tenant, rows, table.created_by, update=True)  # type: ignore[arg-type]
    own: list[Problem] = [
        problem for at, _, problem in of_rows(sheet.read.problems) if start <= at < start + count
    ]
    wrong = {at for at, _, _ in of_rows(own)}
    judged.outcomes = {at: outcome for at, outcome in judged.outcomes.items() if at not in wrong}
    judged.problems = [*own, *judged.problems]
    return judged


def wake_stalled_tables(tenant_id: UUID) -> int:
    """Queue the imports whose worker was lost again. Returns how many."""
    quiet = clock.now() - STALLED
    going = (ImportState.CHECKING, ImportState.APPLYING)
    rows = TableImport.objects.filter(state__in=going, touched_at__lt=quiet).defer("content")
    for table in rows:
        _enqueue(table)
    return len(rows)


def _enqueue(table: TableImport) -> None:
    tasks.enqueue(TASK, tenant_id=table.tenant_id, table_id=str(table.pk))
