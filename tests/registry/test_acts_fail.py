"""Acts on many rows that fail otherwise than by a refusal: the row keeps its failure, the act ends, and a second click is the first."""

import pytest
from django.db import OperationalError
from django.urls import reverse

from arm import clock
from arm.models import ChangeRecord
from registry import services
from registry.models import AgentTemplate, BulkRow, BulkRun
from registry.services import many, working_off
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def agents(acme):
    return [make.template(f"agent-{number}") for number in range(5)]


@pytest.fixture
def breaks(monkeypatch):
    """The service of the rows with these short names breaks in this way."""

    def let(how, *slugs, after=None):
        real = many.update_template

        def update(*, template, **more):
            if template.slug in slugs and (after is None or after()):
                raise how
            return real(template=template, **more)

        monkeypatch.setattr(many, "update_template", update)

    return let


def preview(alice, rows):
    chosen = list(rows)
    return services.preview_bulk(
        tenant=chosen[0].tenant,
        action="add_tag",
        targets=[row.pk for row in chosen],
        params={"tag": "new"},
        actor=alice,
    )


def outcomes(run, column="outcome"):
    return dict(BulkRow.objects.filter(run=run).values_list("label", column))


def test_a_row_whose_service_breaks_has_failed_and_the_others_are_done(alice, agents, breaks):
    run = preview(alice, agents)
    breaks(ZeroDivisionError("boom: secret"), "agent-2")
    services.apply_bulk(run=run, actor=alice, reason="r")
    run.refresh_from_db()
    assert run.state == "done"
    found = outcomes(run)
    assert found.pop(str(agents[2])) == "failed" and set(found.values()) == {"applied"}
    row = BulkRow.objects.get(outcome="failed")
    assert (
        row.attempts == 1
        and "nothing of it was done" in row.outcome_says
        and "secret" not in row.outcome_says
    )
    assert AgentTemplate.objects.filter(tags__contains=["new"]).count() == 4
    assert not ChangeRecord.objects.about(agents[2]).exists()


def test_one_that_breaks_in_the_preview_is_left_out(alice, agents, breaks, client):
    breaks(RuntimeError("boom"), "agent-1")
    run = preview(alice, agents)
    assert run.state == "previewed" and outcomes(run, "foreseen")[str(agents[1])] == "failed"
    client.force_login(alice)
    page = client.get(reverse("registry:bulk_detail", args=[run.typeid])).content.decode()
    assert "Failed" in page and "(1 attempt)" in page
    rows = client.get(f"/api/v1/registry/acts/{run.typeid}/rows/", {"foreseen": "failed"}).json()["results"]
    assert [(row["label"], row["attempts"]) for row in rows] == [(str(agents[1]), 1)]
    services.apply_bulk(run=run, actor=alice, reason="r")
    assert outcomes(run)[str(agents[1])] == "left"


@pytest.fixture
def large(monkeypatch):
    monkeypatch.setattr(many, "AT_ONCE", 0)
    monkeypatch.setattr(working_off, "STEP", 3)


def woken(run, lost=OperationalError):
    """A worker after another takes the run, until one of them is not lost. How many were."""
    for number in range(40):
        try:
            services.work_off_bulk(tenant_id=run.tenant_id, run_id=run.pk)
        except lost:
            continue
        return number
    raise AssertionError("It goes on for ever.")


def test_a_row_that_takes_its_worker_along_is_given_up_after_three_times_and_the_act_ends(
    alice, agents, breaks, large
):
    run = preview(alice, agents)
    services.work_off_bulk(tenant_id=run.tenant_id, run_id=run.pk)
    run.refresh_from_db()
    services.apply_bulk(run=run, actor=alice, reason="r")
    seen = []
    breaks(OperationalError("server closed the connection"), "agent-1", after=lambda: seen.append(1) or True)
    lost = woken(run)
    run.refresh_from_db()
    assert run.state == "done" and run.ended_at is not None and len(seen) == lost == 3
    found = outcomes(run)
    assert found.pop(str(agents[1])) == "failed" and set(found.values()) == {"applied"}
    row = BulkRow.objects.get(outcome="failed")
    assert row.attempts == 3 and "3 times" in row.outcome_says
    assert AgentTemplate.objects.filter(tags__contains=["new"]).count() == 4


def test_a_worker_that_dies_each_time_leaves_its_count_behind_so_that_it_is_not_for_ever(
    alice, agents, monkeypatch, large
):
    """Killed in the middle of a part, a worker says nothing: only what it stored before tells of it."""
    run = preview(alice, agents)

    class Killed(BaseException):
        pass

    def die(run, row):
        raise Killed

    monkeypatch.setattr(many, "_foresee", die)
    woken(run, Killed)
    run.refresh_from_db()
    assert run.state == "previewed" and set(outcomes(run, "foreseen").values()) == {"failed"}


def test_what_passes_is_tried_again_and_done(alice, agents, breaks, large):
    run, once = preview(alice, agents), [1]
    breaks(OperationalError("deadlock detected"), "agent-1", after=lambda: bool(once and once.pop()))
    assert woken(run) == 1
    assert set(outcomes(run, "foreseen").values()) == {"will"}
    run.refresh_from_db()
    assert run.tries == 0


def test_a_second_click_within_seconds_finds_the_first_act(alice, agents, acme):
    first = preview(alice, agents)
    assert preview(alice, reversed(agents)) == first and BulkRun.objects.count() == 1
    assert preview(alice, agents[:2]) != first
    other = make.everything(make.user("other", member_of=acme), acme)
    assert preview(other, agents) != first
    with clock.at(clock.now() + many.AGAIN * 2):
        assert preview(alice, agents) != first
    services.apply_bulk(run=first, actor=alice, reason="r")
    assert preview(alice, agents) != first, "what is applied is over"


def test_an_act_that_there_is_no_more_ends_with_every_row_failed(alice, agents, monkeypatch, large):
    run = preview(alice, agents)
    monkeypatch.delitem(many.BULK_ACTIONS, "add_tag")
    services.work_off_bulk(tenant_id=run.tenant_id, run_id=run.pk)
    run.refresh_from_db()
    assert run.state == "previewed" and set(outcomes(run, "foreseen").values()) == {"failed"}
