"""Pin a run as what an agent's versions are held against, and let that go."""

from django.db import transaction

from arm import changes, clock, tasks
from arm.errors import Conflict, NotAllowed
from arm.models import User
from arm.permissions import require
from arm.queries import single_handed
from arm.rights import Right
from registry.models import AgentTemplate, AgentVersion
from registry.services.asking import Duplicate, require_reason

from ..lifecycle import RunState
from ..models import Baseline, Run
from .suites import ON_ITS_WAY


@transaction.atomic
def pin_baseline(*, run: Run, actor: User, reason: str) -> Baseline:
    """From now on versions of the run's agent are held against this run, for its suite; another pin ends.

    It takes who may edit the agent's suites and has no version of it on its way. Conflict where the run has not passed;
    Duplicate where it is pinned already.
    """
    require(actor, Right.EDIT_SUITE, run)
    require_reason(reason)
    if run.state != RunState.PASSED:
        raise Conflict(f"The run {run.get_state_display().lower()}; only one that passed is a baseline.")
    _require_another(run.template, actor)
    AgentTemplate.objects.select_for_update().get(pk=run.template_id)  # one baseline at a time
    held = Baseline.objects.filter(template=run.template_id, suite=run.suite_id, until=None).first()
    if held is not None and held.run_id == run.pk:
        raise Duplicate("This run is the baseline already.", held)
    now = clock.now()
    if held is not None:
        Baseline.objects.filter(pk=held.pk).update(until=now)
    made = Baseline.objects.create(
        tenant_id=run.tenant_id,
        template=run.template,
        suite=run.suite,
        run=run,
        since=now,
        reason=reason,
        created_by=actor,
    )
    before = {"run": held.run.typeid} if held else {}
    _told(made, "evaluation.baseline.pinned", actor, before, {"run": run.typeid}, reason)
    return made


@transaction.atomic
def end_baseline(*, baseline: Baseline, actor: User, reason: str) -> Baseline:
    """Versions are held against the newest approved version's run again. Conflict where it has ended."""
    require(actor, Right.EDIT_SUITE, baseline)
    require_reason(reason)
    baseline = (
        Baseline.objects.select_for_update(of=("self",))
        .select_related("run", "suite", "template")
        .get(pk=baseline.pk)
    )
    if baseline.until is not None:
        raise Conflict("This baseline has already ended.")
    _require_another(baseline.template, actor)
    baseline.until = clock.now()
    baseline.save(update_fields=["until"])
    _told(baseline, "evaluation.baseline.ended", actor, {"run": baseline.run.typeid}, {}, reason)
    return baseline


def _told(
    row: Baseline, verb: str, actor: User, before: dict[str, str], after: dict[str, str], reason: str
) -> None:
    links = [row.suite.typeid, row.template.typeid, row.run.typeid]
    changes.record(actor, verb, row, before=before, after=after, reason=reason, links=links)
    tasks.announce(verb, tenant_id=row.tenant_id, template_id=str(row.template_id))


def _require_another(template: AgentTemplate, actor: User) -> None:
    """Nobody lowers the bar for a version that they have built or submitted themselves."""
    if single_handed(template.tenant_id):
        return
    rows = AgentVersion.objects.filter(template=template, state__in=ON_ITS_WAY).select_related("template")
    for row in rows:
        if actor.pk in (row.created_by_id, row.submitted_by_id):
            said = f"You built or submitted {row}, which is on its way; somebody else chooses its baseline."
            raise NotAllowed(said, right=Right.EDIT_SUITE.value)
