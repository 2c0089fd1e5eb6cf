"""Acts on many rows of a list: previewed row by row, then applied row by row through the services of single rows.

The preview carries each row's service out and takes it back, so that what it foresees is what the service says, with
every right and gate. Applying compares each row with what was previewed: what has changed since is left alone.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Model, QuerySet

from arm import changes, clock, crypto, logs, tasks
from arm.conflicts import whole
from arm.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from arm.models import Tenant, User
from arm.permissions import visible
from arm.rights import Right

from ..lifecycle import InstanceState, VersionState
from ..models import AgentInstance, AgentTemplate, AgentVersion, BulkRow, BulkRun, Ownership
from .answering import hold_people, people_named
from .asking import refuse, require_reason
from .instances import move_instance, restrict_instance
from .locking import locked
from .templates import set_owners, update_template
from .versions import move_version

MOST = 1000
"""Rows of one act."""
STOPPED_AT_ONCE = 50
"""Instances that one act restricts: who must stop more stops a scope, and that counts people (ADR 11)."""
AT_ONCE = 50
"""Rows that are previewed or applied while the person waits; more go to the worker."""
AGAIN = timedelta(seconds=5)
"""A second click comes within so long."""
FAILED = "It failed, and nothing of it was done; whoever keeps ARM running finds the cause in the log, at {request}."
log = logging.getLogger(__name__)
TASK = "registry.tasks.work_off_bulk"
Params = dict[str, Any]
Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BulkAction:
    """`seen` is what must not change between preview and apply; what of it is shown, `words` says."""

    name: str
    label: str
    model: type[Model]
    right: Right
    seen: Callable[[Any], Facts]
    carry_out: Callable[[Any, Params, User, str], object]
    param: str = ""
    most: int = MOST
    tone: str = "primary"
    or_right: Right | None = None
    """Another right that some rows ask instead of `right`."""

    @property
    def rights(self) -> tuple[Right, ...]:
        """Who holds one of them somewhere is offered the act."""
        return (self.right,) if self.or_right is None else (self.right, self.or_right)


class _TakenBack(Exception):
    """Ends a preview: nothing of it stays."""


def _template_facts(row: AgentTemplate) -> Facts:
    held = Ownership.objects.filter(template=row, until=None).order_by("user__username")
    return {"tags": row.tags, "owners": list(held.values_list("user__username", flat=True))}


def _approved_of(row: AgentTemplate) -> Facts:
    rows = AgentVersion.objects.filter(template=row, state=VersionState.APPROVED).order_by("number")
    return {"approved versions": [f"v{number}" for number in rows.values_list("number", flat=True)]}


def _tag(row: AgentTemplate, params: Params, actor: User, reason: str) -> None:
    update_template(template=row, tags=[*row.tags, params["tag"]], actor=actor, reason=reason)


def _untag(row: AgentTemplate, params: Params, actor: User, reason: str) -> None:
    kept = [tag for tag in row.tags if tag != params["tag"].strip().lower()]
    update_template(template=row, tags=kept, actor=actor, reason=reason)


def _owners(row: AgentTemplate, params: Params, actor: User, reason: str) -> None:
    people = people_named(row.tenant_id, params["owners"])
    set_owners(template=row, owners=people, actor=actor, reason=reason)


def _deprecate_agent(row: AgentTemplate, params: Params, actor: User, reason: str) -> None:
    rows = AgentVersion.objects.filter(template=row, state=VersionState.APPROVED)
    for version in rows.order_by("number"):
        _deprecate(version, params, actor, reason)


def _deprecate(row: AgentVersion, params: Params, actor: User, reason: str) -> None:
    move_version(version=row, to=VersionState.DEPRECATED, actor=actor, reason=reason)


def _restriction(name: str, label: str, to: InstanceState, tone: str = "primary") -> BulkAction:
    def restrict(row: AgentInstance, params: Params, actor: User, reason: str) -> None:
        restrict_instance(instance=row, to=to, actor=actor, reason=reason)

    return BulkAction(
        name, label, AgentInstance, Right.RESTRICT_INSTANCE, _instance_facts, restrict,
        most=STOPPED_AT_ONCE, tone=tone,
    )  # fmt: skip


def _activate(row: AgentInstance, params: Params, actor: User, reason: str) -> None:
    if row.state not in (InstanceState.PROVISIONING, InstanceState.ACTIVE):
        raise Conflict(
            f"{row} is {row.get_state_display()}: letting it go again is a release, on its own page."
        )
    if row.state == InstanceState.PROVISIONING:
        move_instance(instance=row, to=InstanceState.ACTIVE, actor=actor, reason=reason)


def _retire(row: AgentInstance, params: Params, actor: User, reason: str) -> None:
    if row.state != InstanceState.RETIRED:
        move_instance(instance=row, to=InstanceState.RETIRED, actor=actor, reason=reason)


def _instance_facts(row: AgentInstance) -> Facts:
    return {"state": InstanceState(row.state).label, "generation": row.generation}


def _version_facts(row: AgentVersion) -> Facts:
    return {"state": VersionState(row.state).label}


BULK_ACTIONS = {
    action.name: action
    for action in (
        BulkAction("add_tag", "Add a tag", AgentTemplate, Right.CREATE_VERSION, _template_facts, _tag, "tag"),
        BulkAction("remove_tag", "Remove a tag", AgentTemplate, Right.CREATE_VERSION, _template_facts, _untag, "tag"),
        BulkAction(
            "set_owners", "Choose the owners", AgentTemplate, Right.MANAGE_DIRECTORY, _template_facts, _owners, "owners"
        ),
        BulkAction(
            "deprecate_agents", "Deprecate their approved versions", AgentTemplate, Right.PROMOTE_RELEASE,
            _approved_of, _deprecate_agent, tone="danger",
        ),
        BulkAction(
            "deprecate", "Deprecate", AgentVersion, Right.PROMOTE_RELEASE, _version_facts, _deprecate, tone="danger"
        ),
        _restriction("pause", "Pause", InstanceState.PAUSED),
        _restriction("read_only", "Let read only", InstanceState.READ_ONLY),
        _restriction("drain", "Drain", InstanceState.DRAINING),
        _restriction("quarantine", "Quarantine", InstanceState.QUARANTINED, "danger"),
        BulkAction(
            "activate", "Activate", AgentInstance, Right.PROVISION_INSTANCE, _instance_facts, _activate
        ),
        BulkAction(
            "retire", "Retire", AgentInstance, Right.PROVISION_INSTANCE, _instance_facts, _retire,
            tone="danger", or_right=Right.TERMINATE_INSTANCE,
        ),
    )
}  # fmt: skip


@transaction.atomic
def preview_bulk(
    *, tenant: Tenant, action: str, targets: Sequence[UUID], actor: User, params: Params | None = None
) -> BulkRun:
    """Foresee what the act would do to each row, or why not. Nothing is changed. Invalid for none or too many rows, and
    NotFound where one is not the actor's to see. The same act on the same rows, asked for again within seconds and not
    applied yet, is the one that is there."""
    act = _action(action)
    given = _params(tenant, act, params or {})
    chosen = list(dict.fromkeys(targets))
    if not chosen:
        refuse("/rows", "required", "Choose rows first.")
    if len(chosen) > act.most:
        more = " Stop a scope instead: that counts people." if act.most == STOPPED_AT_ONCE else ""
        refuse(
            "/rows", "too_many", f"{act.label}: at most {act.most:,} rows at once.{more} Narrow the filter."
        )
    rows = visible(act.model._default_manager.filter(pk__in=chosen), actor, Right.READ_DIRECTORY)
    found = list(rows.order_by("pk"))
    if len(found) != len(chosen):
        raise NotFound("Some of these rows are no more, or not yours to see.")
    asked = crypto.digest(crypto.canonical([act.name, given, sorted(str(row.pk) for row in found)]))
    if held := _just_previewed(tenant, actor, asked):
        return held
    run = BulkRun.objects.create(
        tenant=tenant,
        asked=asked,
        actor=actor,
        credential=changes.credential.get(),
        action=act.name,
        params=given,
        total=len(found),
    )
    BulkRow.objects.bulk_create(
        BulkRow(
            tenant=tenant,
            run=run,
            target_id=row.pk,
            label=str(row)[:250],
            url=row.get_absolute_url(),  # type: ignore[attr-defined]
        )
        for row in found
    )
    _go_on(run)
    return run


def _just_previewed(tenant: Tenant, actor: User, asked: str) -> BulkRun | None:
    """The act that a second click asks for again. Of two at once, the second waits for the first."""
    with connection.cursor() as cursor:
        lock = f"registry.bulk {tenant.pk} {actor.pk}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [lock])
    rows = BulkRun.objects.filter(tenant=tenant, actor=actor, asked=asked, created_at__gt=clock.now() - AGAIN)
    return rows.filter(state__in=[BulkRun.State.PREVIEWING, BulkRun.State.PREVIEWED]).order_by("-pk").first()


@transaction.atomic
def apply_bulk(*, run: BulkRun, actor: User, reason: str) -> BulkRun:
    """Do what was previewed, with every row's own service. A run is applied once: asked again, it is what it is."""
    run = locked(BulkRun.objects.select_related("actor", "tenant"), run.pk)
    if run.actor_id != actor.pk:
        raise NotAllowed(f"{run.actor} has chosen these rows; preview your own.")
    require_reason(reason)
    if run.state == BulkRun.State.PREVIEWING:
        raise Conflict("The preview is not complete yet.")
    if run.state != BulkRun.State.PREVIEWED:
        return run
    run.state, run.applied_at, run.reason = BulkRun.State.APPLYING, clock.now(), reason
    run.credential, run.touched_at = changes.credential.get(), clock.now()
    run.save(update_fields=["state", "applied_at", "reason", "credential", "touched_at"])
    BulkRow.objects.filter(run=run).update(attempts=0)
    left = BulkRow.objects.filter(run=run).exclude(foreseen=BulkRow.Foreseen.WILL)
    left.update(outcome=BulkRow.Outcome.LEFT)
    facts = {
        "action": run.action,
        "params": run.params,
        "rows": run.total,
        "chosen": run.rows.filter(outcome="").count(),
    }
    changes.record(actor, "registry.bulk.applied", run, after=facts, reason=reason)
    _go_on(run)
    return run


def _go_on(run: BulkRun) -> None:
    if run.total > AT_ONCE:
        tasks.enqueue(TASK, tenant_id=run.tenant_id, run_id=str(run.pk))
    else:
        step(run, AT_ONCE)


def waiting(run: BulkRun) -> QuerySet[BulkRow]:
    """The rows that the preview or the apply under way has not come to yet."""
    previewing = run.state == BulkRun.State.PREVIEWING
    return BulkRow.objects.filter(run=run, **({"foreseen": ""} if previewing else {"outcome": ""}))


def step(run: BulkRun, most: int) -> bool:
    """Some more rows of the run, and its next state when there are none left. Whether there is more to do."""
    previewing = run.state == BulkRun.State.PREVIEWING
    if not previewing and run.state != BulkRun.State.APPLYING:
        return False
    left = waiting(run)
    held = list(left.select_for_update().order_by("target_id")[:most])
    for row in held:
        if previewing:
            _foresee(run, row)
        else:
            _apply(run, row)
    run.touched_at, run.tries = clock.now(), 0
    more = left.exists()
    if not more and previewing:
        run.state = BulkRun.State.PREVIEWED
    elif not more:
        run.state, run.ended_at = BulkRun.State.DONE, clock.now()
    run.save(update_fields=["state", "ended_at", "touched_at", "tries"])
    return more


def _foresee(run: BulkRun, row: BulkRow) -> None:
    act = BULK_ACTIONS[run.action]
    target = act.model._default_manager.filter(pk=row.target_id).first()
    assert target is not None  # nothing of the directory is deleted
    row.seen = act.seen(target)
    kind, row.foreseen_says = _attempt(act, run, target, "Previewed.", keep=False)
    row.foreseen, row.attempts = BulkRow.Foreseen(kind), max(row.attempts, 1)
    row.save(update_fields=["seen", "foreseen", "foreseen_says", "attempts"])


def _apply(run: BulkRun, row: BulkRow) -> None:
    act = BULK_ACTIONS[run.action]
    hold_people(run.tenant, User.objects.filter(username__in=run.params.get("owners", ())))
    target = locked(act.model._default_manager.all(), row.target_id)
    now = act.seen(target)
    if now != row.seen:
        row.outcome = BulkRow.Outcome.CHANGED
        row.outcome_says = f"Since the preview: {_words(row.seen, now)} Preview it again."
    else:
        kind, row.outcome_says = _attempt(act, run, target, run.reason, keep=True)
        row.outcome = {"will": BulkRow.Outcome.APPLIED}.get(kind) or BulkRow.Outcome(kind)
    row.attempts = max(row.attempts, 1)
    row.save(update_fields=["outcome", "outcome_says", "attempts"])


def _attempt(act: BulkAction, run: BulkRun, target: Any, reason: str, *, keep: bool) -> tuple[str, str]:
    """(`will`, `same`, `refused` or `failed`, in words) of the row's own service; without `keep`, nothing of it stays.
    One that fails otherwise than by a refusal is taken back like one that is refused, and keeps no other row waiting."""
    before = act.seen(target)
    after = before
    try:
        with whole():
            act.carry_out(target, run.params, run.actor, reason)
            after = act.seen(act.model._default_manager.get(pk=target.pk))
            if not keep:
                raise _TakenBack
    except _TakenBack:
        pass
    except DomainError as refusal:
        errors: Any = refusal.extra.get("errors") or ()
        said = [
            refusal.message,
            *(error["message"] for error in errors if error["message"] != refusal.message),
        ]
        return "refused", " ".join(said)
    except (OperationalError, InterfaceError):
        raise  # the database gave up, not the row: whoever works on it tries again
    except Exception:
        log.exception("A row of an act failed.", extra={"run": run.typeid, "target": str(target.pk)})
        return "failed", FAILED.format(request=logs.request_id.get() or run.typeid)
    return ("same", "It is so already.") if after == before else ("will", _words(before, after))


def _words(before: Facts, after: Facts) -> str:
    """What is otherwise, in words."""
    parts = [
        f"{name.capitalize()}: {_said(before.get(name))} → {_said(after.get(name))}."
        for name in after
        if name != "generation" and before.get(name) != after.get(name)
    ]
    return " ".join(parts) or "It was told to do something else meanwhile."


def _said(value: Any) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)


def _action(name: str) -> BulkAction:
    if name not in BULK_ACTIONS:
        refuse("/action", "unknown", f"There is no act “{name}” on many rows.")
    return BULK_ACTIONS[name]


def _params(tenant: Tenant, act: BulkAction, params: Params) -> Params:
    if not act.param:
        return {}
    value = params.get(act.param)
    if act.param == "tag":
        if not isinstance(value, str) or not 0 < len(value.strip()) <= 60:
            raise Invalid(
                "Name the tag, in at most 60 characters.",
                [{"pointer": "/tag", "code": "required", "message": "Name the tag."}],
            )
        return {"tag": value.strip().lower()}
    names = [str(name) for name in value] if isinstance(value, list) else []
    if not names:
        refuse("/owners", "required", "Choose the owners among the people here.")
    people_named(tenant.pk, names)
    return {"owners": sorted(set(names))}
