"""Acts on many rows: foreseen row by row, applied once, and each row by its own service."""

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from arm import db, ids
from arm import services as core
from arm.errors import Conflict, Invalid, NotAllowed, NotFound
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, BulkRow, BulkRun
from registry.services import many, working_off
from tests import make

pytestmark = pytest.mark.django_db


def preview(actor, action, rows, **params):
    chosen = [row.pk for row in rows]
    return services.preview_bulk(
        tenant=rows[0].tenant, action=action, targets=chosen, params=params, actor=actor
    )


def foreseen(run):
    return {row.label: row.foreseen for row in run.rows.all()}


def outcomes(run):
    return {row.label: row.outcome for row in run.rows.all()}


def instances(count, **kw):
    build, place, at = make.approved(), make.environment(), make.provider()
    return [
        make.instance(version=build, environment=place, provider=at, name=f"i{n}", **kw) for n in range(count)
    ]


# preview


def test_a_preview_says_per_row_what_will_happen_and_changes_nothing(alice):
    first, second = instances(2)
    third = make.instance(name="retired", state=InstanceState.RETIRED)
    fourth = make.instance(name="held", state=InstanceState.QUARANTINED)
    records = ChangeRecord.objects.count()
    run = preview(alice, "quarantine", [first, second, third, fourth])
    assert foreseen(run) == {"i0": "will", "i1": "will", "retired": "refused", "held": "same"}
    said = {row.label: row.foreseen_says for row in run.rows.all()}
    assert said["i0"] == "State: Active → Quarantined." and "cannot become Quarantined" in said["retired"]
    assert run.state == BulkRun.State.PREVIEWED
    first.refresh_from_db()
    assert (first.state, first.generation) == (
        InstanceState.ACTIVE,
        AgentInstance.objects.get(pk=second.pk).generation,
    )
    assert ChangeRecord.objects.count() == records


def test_a_row_on_which_the_right_is_lacking_is_named(acme):
    mine, other = instances(2)[0], make.instance(name="other")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    make.grant(bob, mine.environment, Right.RESTRICT_INSTANCE)
    run = preview(bob, "pause", [mine, other])
    assert foreseen(run) == {"i0": "will", "other": "refused"}
    assert "You may not restrict instance: other" in run.rows.get(label="other").foreseen_says


def test_rows_that_are_not_mine_to_see_cannot_be_chosen(acme, alice):
    hidden = make.template()
    carol = make.user("carol", member_of=acme)
    make.grant(carol, make.template(), Right.READ_DIRECTORY, Right.CREATE_VERSION)
    with pytest.raises(NotFound):
        preview(carol, "add_tag", [hidden], tag="x")
    assert not BulkRun.objects.exists()


def test_no_rows_too_many_rows_and_no_tag_are_refused_in_words(acme, alice):
    agent = make.template()
    with pytest.raises(Invalid) as none:
        services.preview_bulk(tenant=acme, action="add_tag", targets=[], params={"tag": "x"}, actor=alice)
    assert none.value.errors[0]["code"] == "required"
    with pytest.raises(Invalid) as too_many:
        targets = [ids.uuid7() for _ in range(many.STOPPED_AT_ONCE + 1)]
        services.preview_bulk(tenant=acme, action="quarantine", targets=targets, actor=alice)
    assert "Stop a scope instead" in too_many.value.errors[0]["message"]
    with pytest.raises(Invalid, match="tag"):
        preview(alice, "add_tag", [agent], tag=" ")
    with pytest.raises(Invalid):
        preview(alice, "dance", [agent])


# apply


def test_applied_each_row_is_changed_by_its_own_service_with_the_reason(alice):
    rows = instances(3)
    run = services.apply_bulk(run=preview(alice, "quarantine", rows), actor=alice, reason="leaks secrets")
    assert set(outcomes(run).values()) == {"applied"}
    assert set(AgentInstance.objects.values_list("state", flat=True)) == {InstanceState.QUARANTINED}
    records = ChangeRecord.objects.filter(verb="registry.instance.restricted")
    assert {record.target_id for record in records} == {row.pk for row in rows}
    assert {(record.actor_id, record.reason) for record in records} == {(alice.pk, "leaks secrets")}
    told = ChangeRecord.objects.get(verb="registry.bulk.applied")
    assert (told.after["chosen"], told.after["action"]) == (3, "quarantine")


def test_what_is_submitted_again_is_not_applied_again(alice):
    agent = make.template(tags=["old"])
    run = preview(alice, "add_tag", [agent], tag="New")
    for _ in range(2):
        services.apply_bulk(run=run, actor=alice, reason="sorted")
    agent.refresh_from_db()
    assert agent.tags == ["new", "old"]
    assert (
        ChangeRecord.objects.filter(verb__in=["registry.template.updated", "registry.bulk.applied"]).count()
        == 2
    )


def test_what_changed_since_the_preview_is_left_alone_and_the_others_are_done(alice):
    first, second = instances(2)
    run = preview(alice, "drain", [first, second])
    services.restrict_instance(instance=first, to=InstanceState.PAUSED, actor=alice, reason="meanwhile")
    services.apply_bulk(run=run, actor=alice, reason="winding down")
    assert outcomes(run) == {"i0": "changed", "i1": "applied"}
    assert "Active → Paused" in run.rows.get(label="i0").outcome_says
    first.refresh_from_db()
    assert first.state == InstanceState.PAUSED


def test_a_change_that_was_undone_again_is_a_change(alice, settings):
    (row,) = instances(1)
    run = preview(alice, "drain", [row])
    settings.ACTIVATION_GATES = []
    services.restrict_instance(instance=row, to=InstanceState.PAUSED, actor=alice, reason="a")
    services.move_instance(instance=row, to=InstanceState.ACTIVE, actor=alice, reason="b")
    services.apply_bulk(run=run, actor=alice, reason="winding down")
    assert outcomes(run) == {"i0": "changed"}


def test_a_right_that_is_lost_after_the_preview_refuses_the_row(acme):
    (row,) = instances(1)
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    binding = make.grant(bob, row.environment, Right.RESTRICT_INSTANCE)
    run = preview(bob, "pause", [row])
    make.everything(ada := make.user("ada", member_of=acme), acme)
    core.unbind(binding=binding, actor=ada, reason="moved on")
    services.apply_bulk(run=run, actor=bob, reason="too late")
    assert outcomes(run) == {"i0": "refused"}
    row.refresh_from_db()
    assert row.state == InstanceState.ACTIVE


def test_only_who_previewed_applies_and_never_without_a_reason(acme, alice):
    run = preview(alice, "add_tag", [make.template()], tag="x")
    other = make.everything(make.user("other", member_of=acme), acme)
    with pytest.raises(NotAllowed):
        services.apply_bulk(run=run, actor=other, reason="mine")
    with pytest.raises(Invalid):
        services.apply_bulk(run=run, actor=alice, reason=" ")
    run.refresh_from_db()
    assert run.state == BulkRun.State.PREVIEWED


def test_agents_are_tagged_owned_and_deprecated(acme, alice):
    one, two = make.template("one", tags=["a", "b"]), make.template("two")
    make.approved(template=one)
    bob = make.user("bob", member_of=acme)
    for action, params in (
        ("remove_tag", {"tag": "A"}),
        ("set_owners", {"owners": ["bob"]}),
        ("deprecate_agents", {}),
    ):
        services.apply_bulk(run=preview(alice, action, [one, two], **params), actor=alice, reason="tidy")
    one.refresh_from_db()
    assert one.tags == ["b"] and one.versions.get().state == VersionState.DEPRECATED
    assert {held.user for agent in (one, two) for held in agent.ownerships.filter(until=None)} == {bob}
    assert outcomes(BulkRun.objects.get(action="deprecate_agents")) == {"one": "applied", "two": "left"}


def test_versions_are_deprecated_and_a_draft_refuses(alice):
    ready, draft = make.approved(), make.version()
    run = preview(alice, "deprecate", [ready, draft])
    assert foreseen(run) == {str(ready): "will", str(draft): "refused"}
    services.apply_bulk(run=run, actor=alice, reason="old")
    ready.refresh_from_db()
    assert ready.state == VersionState.DEPRECATED
    assert outcomes(run)[str(draft)] == "left"


def test_many_rows_go_to_the_worker_which_goes_on_where_it_was(alice, work_off, queued, monkeypatch):
    monkeypatch.setattr(many, "AT_ONCE", 2)
    monkeypatch.setattr(working_off, "STEP", 2)
    rows = [make.template(f"agent-{n}") for n in range(5)]
    run = preview(alice, "add_tag", rows, tag="x")
    assert queued() == ["registry.tasks.work_off_bulk"] and set(foreseen(run).values()) == {""}
    with pytest.raises(Conflict):
        services.apply_bulk(run=run, actor=alice, reason="early")
    work_off()
    run.refresh_from_db()
    assert run.state == BulkRun.State.PREVIEWED and set(foreseen(run).values()) == {"will"}
    services.apply_bulk(run=run, actor=alice, reason="many")
    services.work_off_bulk(tenant_id=run.tenant_id, run_id=run.pk)
    work_off()  # delivered twice
    run.refresh_from_db()
    assert run.state == BulkRun.State.DONE and set(outcomes(run).values()) == {"applied"}
    assert ChangeRecord.objects.filter(verb="registry.template.updated").count() == 5


def test_an_outcome_stands_and_who_did_what_is_not_rewritten(acme, alice):
    run = services.apply_bulk(
        run=preview(alice, "add_tag", [make.template()], tag="x"), actor=alice, reason="r"
    )
    other = make.user("other", member_of=acme)
    for change in (
        lambda: BulkRow.objects.update(outcome="refused"),
        lambda: BulkRow.objects.update(outcome=""),
        lambda: BulkRun.objects.filter(pk=run.pk).update(actor=other),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()


# pages


def visit(user):
    client = Client()
    client.force_login(user)
    return client


def choose(client, listed, action, rows=(), **more):
    body = {
        "list": f"registry:{listed}",
        "action": action,
        "row": [row.typeid for row in rows],
        "which": "chosen",
    }
    return client.post("/registry/bulk/new/", body | more, follow=True)


def test_rows_are_chosen_on_the_list_previewed_and_applied(alice):
    first, second = instances(2)
    client = visit(alice)
    page = client.get("/registry/instances/").content.decode()
    assert f'value="{first.typeid}"' in page and "Quarantine" in page and "at most 50" in page
    page = choose(client, "instance_list", "quarantine", [first])
    run = BulkRun.objects.get()
    assert "State: Active → Quarantined." in page.content.decode()
    done = client.post(f"/registry/bulk/{run.typeid}/", {"reason": "leaks"}, follow=True).content.decode()
    assert "Applied" in done and run.typeid in client.get("/registry/bulk/").content.decode()
    again = client.post(f"/registry/bulk/{run.typeid}/", {"reason": "leaks"})
    assert again.status_code == 302
    first.refresh_from_db(), second.refresh_from_db()
    assert (first.state, second.state) == (InstanceState.QUARANTINED, InstanceState.ACTIVE)


def test_what_an_act_needs_to_know_is_asked_and_the_rows_are_kept(alice):
    agent = make.template()
    client = visit(alice)
    form = choose(client, "template_list", "add_tag", [agent]).content.decode()
    assert f'value="{agent.typeid}"' in form and 'name="tag"' in form and not BulkRun.objects.exists()
    choose(client, "template_list", "add_tag", [agent], given="1", tag="Payments")
    assert BulkRun.objects.get().params == {"tag": "payments"}


def test_all_that_match_are_those_that_the_list_shows(acme):
    high = [make.template(f"high-{n}", risk="high") for n in range(3)]
    make.template("low", risk="low")
    hidden = make.template("hidden", risk="high")
    bob = make.user("bob", member_of=acme)
    for agent in high:
        make.grant(bob, agent, Right.READ_DIRECTORY, Right.CREATE_VERSION)
    choose(visit(bob), "template_list", "add_tag", which="all", query="risk=high", given="1", tag="x")
    assert {row.target_id for row in BulkRow.objects.all()} == {agent.pk for agent in high}
    assert hidden.pk not in {row.target_id for row in BulkRow.objects.all()}


@pytest.mark.parametrize("query", ["hue=dark", "risk=purple"])
def test_a_filter_that_the_list_does_not_know_chooses_nothing(alice, query):
    make.template("calm")
    page = choose(visit(alice), "template_list", "add_tag", which="all", query=query, given="1", tag="x")
    assert not BulkRun.objects.exists() and page.status_code == 200


def test_more_than_the_bound_is_refused_in_words(alice, monkeypatch):
    instances(3)
    monkeypatch.setattr(many, "STOPPED_AT_ONCE", 2)
    act = many.BULK_ACTIONS["pause"]
    monkeypatch.setitem(
        many.BULK_ACTIONS, "pause", type(act)(**{f: getattr(act, f) for f in act.__slots__} | {"most": 2})
    )
    page = choose(visit(alice), "instance_list", "pause", which="all").content.decode()
    assert "More than 2 rows match" in page and not BulkRun.objects.exists()


def test_an_act_for_other_rows_than_the_list_has_is_refused(alice):
    page = choose(visit(alice), "template_list", "quarantine", [make.template()])
    assert "Choose what to do" in page.content.decode() and not BulkRun.objects.exists()


def test_who_may_do_nothing_sees_no_boxes(acme):
    row = instances(1)[0]
    page = visit(make.hired("vera", "viewer", acme)).get("/registry/instances/").content.decode()
    assert row.typeid in page and 'name="row"' not in page


def test_a_run_is_its_persons_and_the_auditors(acme, alice):
    run = preview(alice, "add_tag", [make.template()], tag="x")
    path = f"/registry/bulk/{run.typeid}/"
    assert visit(make.hired("audrey", "auditor", acme)).get(path).status_code == 200
    assert visit(make.hired("vera", "viewer", acme)).get(path).status_code == 404
    other = make.tenant("other")
    mallory = make.everything(make.user("mallory", member_of=other), other)
    assert visit(mallory).get(path).status_code == 404
    with db.tenants([other.pk]):
        assert not BulkRun.objects.exists() and not BulkRow.objects.exists()
        with pytest.raises(BulkRun.DoesNotExist):
            services.apply_bulk(run=run, actor=mallory, reason="mine")


def test_the_progress_of_a_large_run_is_a_part_of_the_page(alice, monkeypatch):
    monkeypatch.setattr(many, "AT_ONCE", 0)
    run = preview(alice, "add_tag", [make.template()], tag="x")
    client = visit(alice)
    path = f"/registry/bulk/{run.typeid}/"
    assert "found again" in client.get(path).content.decode()
    part = client.get(path, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part and "Previewed" in part
