"""The whole demo, small: every part of it together, as `manage.py demo` builds it."""

import csv
import hashlib
import re
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db.models import DateTimeField, Q
from django.test import Client

from arm import clock, db, ids
from arm.models import ChangeRecord, Membership, SavedView, Tenant, User
from costs.models import Cap, LedgerEntry
from evaluation.models import Baseline, Certification
from evaluation.queries import standings
from evaluation.scoring import Category
from policy.engine import Effect
from policy.gateway.past import Past, keep
from policy.lifecycle import ApprovalState
from policy.models import ApprovalRequest, Decision
from registry import fitness
from registry.gates.approving import quorum
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    BulkRow,
    BulkRun,
    InstanceInterval,
    Prompt,
    ReleaseException,
    RoleAssignment,
    RoleDefinition,
    Rollback,
    Rollout,
    SpawnTerm,
    TableImport,
    VersionEvidence,
)
from registry.queries import with_gaps
from tests import make
from tests.telemetry.sending import forget

PASSWORD = "correct horse battery"
FUTURE = {"until", "valid_until", "rebind_by", "due_at", "expires_at", "escalates_at"}
"""What may lie ahead: ends that are not reached yet."""


@pytest.fixture(scope="module")
def built(_own_database, django_db_blocker):
    """Built once: the tests below only read."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARM_DEMO_PASSWORD", PASSWORD)
        forget()
        tenant = make.tenant("main")
        make.user("root", member_of=tenant, is_superuser=True)
        call_command("demo", scale=0.15, verbosity=0)
    yield
    forget()


@pytest.fixture(autouse=True)
def fleet(built, committed):
    with db.tenants(db.all_tenants()):
        tenant = Tenant.objects.get(slug="main")
    with db.tenants([tenant.pk]):
        yield tenant


def signed_in(name):
    client = Client()
    client.force_login(User.objects.get(username=name))
    return client


def test_every_approval_of_an_action_names_a_decision_that_opens():
    asked = list(ApprovalRequest.objects.exclude(decision_id=None))
    assert len(asked) == 13 and {request.state for request in asked} >= set(ApprovalState) - {"voided"}
    erin = signed_in("erin")
    for request in asked:
        decision = Decision.objects.get(pk=request.decision_id)
        assert (decision.decision, decision.approval_id) == (Effect.APPROVE, request.pk)
        assert decision.instance_id == request.instance_id
        assert f"sha256:{bytes(decision.action_digest).hex()}" == request.digest
        assert abs(decision.at - request.created_at) < timedelta(milliseconds=2)
        name = ids.encode("dec", decision.pk)
        assert erin.get(f"/policy/decisions/{name}/").status_code == 200
        assert erin.get(f"/api/v1/policy/decisions/{name}/").status_code == 200


def test_what_was_used_up_names_the_decision_that_used_it():
    used = list(ApprovalRequest.objects.filter(state="consumed"))
    assert used
    for request in used:
        decision = Decision.objects.get(pk=request.consumed_by)
        assert (decision.decision, decision.approval_id) == (Effect.ALLOW, request.pk)
        assert request.decided_at < decision.at <= request.expires_at


def test_decisions_of_thirty_days_answer_everything_and_each_agent_was_at_work():
    rows = list(Decision.objects.select_related("instance"))
    assert len(rows) > 700
    assert {row.decision for row in rows} == set(Effect)
    assert min(row.at for row in rows) < clock.now() - timedelta(days=20)
    versions = dict(AgentInstance.objects.values_list("pk", "version_id"))
    states = {}
    for interval in InstanceInterval.objects.order_by("since", "pk"):
        states.setdefault(interval.instance_id, []).append(interval)
    for row in rows:
        assert row.version_id == versions[row.instance_id]
        state = [
            one.state for one in states[row.instance_id] if one.since <= row.at + timedelta(milliseconds=1)
        ][-1]
        if row.decision != Effect.DENY:
            assert state in ("active", "read_only", "draining", "paused"), (row.tool, state)


def test_approvals_are_listed_in_the_order_in_which_they_were_asked_for():
    found = ApprovalRequest.objects.exclude(decision_id=None).order_by("pk")
    moments = list(found.values_list("created_at", flat=True))
    assert moments == sorted(moments)


def test_every_version_past_testing_has_passed_its_suites_on_its_own_genome():
    rows = AgentVersion.objects.exclude(state__in=["draft", "testing"]).select_related("template", "genome")
    assert rows
    for version in rows:
        found = standings(version)
        assert {one.suite.category for one in found} >= {Category.SAFETY, Category.REGRESSION}
        assert all(one.passed and one.run.results.count() == one.run.total for one in found)
        assert all(one.run.finished_at < version.state_since for one in found)


def test_nothing_of_the_demo_lies_in_the_future():
    now = clock.now()
    seen = 0
    for model in apps.get_models():
        names = [
            field.name
            for field in model._meta.concrete_fields
            if isinstance(field, DateTimeField) and field.name not in FUTURE and "expire" not in field.name
        ]
        if not names or not model._meta.managed or model._meta.app_label in ("sessions", "django_q"):
            continue
        later = Q()
        for name in names:
            later |= Q(**{f"{name}__gt": now})
        rows = model._base_manager.all()
        assert list(rows.filter(later)[:3]) == [], model
        seen += rows.exists()
    assert seen > 20


def test_the_past_is_kept_only_where_the_clock_may_be_set(settings):
    settings.CLOCK_MAY_BE_SET = False
    with pytest.raises(RuntimeError, match="only by the demo"):
        keep([])


def test_nobody_keeps_a_decision_of_the_future():
    ahead = Past(ids.uuid7_at(clock.now() + timedelta(minutes=1)), None, None, None, None, 0)
    with pytest.raises(ValueError, match="lies in the future"):
        keep([ahead])


# --- the fleet page -----------------------------------------------------------------------------------------

LINK = re.compile(r'<a[^>]*href="([^"]+)"[^>]*>(.*?)</a>', re.DOTALL)


def rows_behind(client, address):
    """Of that list, all pages: as its file holds them."""
    page = client.get(f"{address}{'&' if '?' in address else '?'}format=csv")
    assert page["Content-Type"].startswith("text/csv"), address
    return list(csv.DictReader(b"".join(page).decode().splitlines()))


def numbers(page):
    """(address, text without its marks) of each link in the panels whose text begins with a number."""
    for address, inner in LINK.findall(page[page.index('class="panels"') :]):
        value = re.search(
            r'class="stat-value">(.*?)</span>\s*(?:</a>|<span class="stat-note|$)', inner, re.DOTALL
        )
        text = re.sub(r"<svg.*?</svg>|<[^>]+>", "", value[1] if value else inner).strip()
        if whole := re.search(r'title="([\d,]+)"', inner):  # what is shortened says its whole number
            text = whole[1]
        if re.match(r"[^\w\s]?\d", text):
            yield unescape(address), text


@pytest.mark.parametrize("name", ["root", "judy"])
def test_every_number_of_the_fleet_page_equals_the_rows_behind_its_link(name):
    client = signed_in(name)
    seen = Counter()
    with clock.at(clock.now()):  # heartbeats do not grow old while the links are followed
        page = client.get("/").content.decode()
        for address, text in numbers(page):
            if address.startswith("/costs/"):
                continue  # an amount: below
            count = int(re.match(r"[\d,]+", text)[0].replace(",", ""))
            assert len(rows_behind(client, address)) == count, (address, text)
            seen[address.partition("?")[0]] += 1
            seen["not nothing"] += count > 0
    assert seen.pop("not nothing") > 15
    assert seen == {
        "/registry/instances/": 4 + 9 * 4,  # tiles, and nine numbers of three environments and their sum
        "/incidents/": 5,
        "/approvals/waiting/": 1,
        "/evaluation/runs/": 2,
        "/registry/roles/": 1,  # that lack somebody
        "/registry/draining/": 1,
        "/registry/templates/": 1,  # that nobody answers for
        "/registry/versions/": 2,  # in production, and without a verified card
    }


def test_what_the_fleet_page_says_was_spent_is_the_sum_of_the_entries_behind_it():
    last = LedgerEntry.objects.order_by("-occurred_at")[
        0
    ].occurred_at  # its day, in case midnight has just passed
    client = signed_in("root")
    with clock.at(last):
        found = numbers(client.get("/").content.decode())
        shown = [(address, text) for address, text in found if address.startswith("/costs/")]
    assert {address for address, _ in shown} == {shown[0][0]} and len(shown) == 2, "an amount and a count"
    with clock.at(last):
        rows = rows_behind(client, shown[0][0])
    amount, calls = (Decimal(re.search(r"[\d,]+(\.\d+)?", text)[0].replace(",", "")) for _, text in shown)
    assert len(rows) == calls > 0
    places = Decimal(1).scaleb(amount.as_tuple().exponent)
    assert sum(Decimal(row["amount"]) for row in rows).quantize(places) == amount


def test_its_jobs_are_done_by_who_was_measured_and_certified_for_them():
    assigned = RoleAssignment.objects.for_list().in_force()
    assert assigned.exists() and Certification.objects.standing_as("valid").exists()
    for row in assigned.select_related("version__genome"):
        assert not fitness.lacking(fitness.for_role(row.role, row.environment, row.version)), row
    assert any(row.role.certifications for row in assigned) and any(row.role.needs for row in assigned)


def test_people_keep_their_questions_and_each_opens():
    views = list(SavedView.objects.select_related("owner"))
    assert len(views) == 4 and BulkRow.objects.filter(outcome="applied").exists()
    for view in views:
        answer = signed_in(view.owner.username).get(view.get_absolute_url(), follow=True)
        assert answer.status_code == 200 and view.name in answer.content.decode()


def test_helpers_stand_two_deep_as_their_genomes_allow():
    children = AgentInstance.objects.exclude(parent=None).select_related("parent__version__genome")
    assert children.count() >= 3
    assert children.filter(parent__parent__isnull=False).exists()
    for child in children:
        assert child.parent.version.genome.document()["spawn"]["allowed"] is True, child


def test_a_table_was_applied_another_refused_for_one_row_and_a_third_waits():
    held = {table.state: table for table in TableImport.objects.all()}
    assert set(held) == {"applied", "refused", "checked"}
    (problem,) = held["refused"].problems
    assert (held["refused"].bad, problem["pointer"]) == (1, "/rows/1/risk")
    assert AgentTemplate.objects.filter(slug="stock-check").exists()
    assert not AgentTemplate.objects.filter(slug="post-writer").exists(), "nothing of a refused table"


def test_genomes_say_more_of_themselves_with_each_build_and_their_prompts_can_be_read():
    newest = AgentVersion.objects.filter(number=2).select_related("genome", "template")
    kept = set(Prompt.objects.values_list("digest", flat=True))
    assert newest and kept
    for version in newest:
        document = version.genome.document()
        assert {
            "memory",
            "data_sources",
            "skills",
            "behavior",
            "spawn",
            "secrets",
            "identity",
        } - document.keys() <= {
            "secrets"  # not every team has some
        }, version
        assert version.genome.completeness >= 80
        stored = {prompt["digest"] in kept for prompt in document["prompts"]}
        assert stored == ({True} if version.template.cost_center != "engineering" else stored)
    assert any("secrets" in version.genome.document() for version in newest)
    for prompt in Prompt.objects.all():
        assert f"sha256:{hashlib.sha256(bytes(prompt.content)).hexdigest()}" == prompt.digest


def test_a_lineage_forks_and_joins():
    joined = [row for row in AgentVersion.objects.all() if row.parents.count() == 2]
    assert len(joined) == 1
    assert "candidate" in set(joined[0].parents.values_list("parent__state", flat=True))
    first = AgentVersion.objects.get(template=joined[0].template, number=1)
    assert AgentVersion.objects.filter(parents__parent=first).count() == 2, "the fork"


def test_who_left_is_succeeded_where_somebody_was_named():
    member = Membership.objects.get(user__username="oscar")
    assert not member.active
    owned = AgentTemplate.objects.filter(ownerships__user=member.user).distinct()
    after = {
        row.slug: set(row.ownerships.filter(until=None).values_list("user__username", flat=True))
        for row in owned
    }
    assert sorted(after.values(), key=len) == [set(), {"alice"}]


def test_a_large_act_was_previewed_and_waits():
    run = BulkRun.objects.get(action="deprecate")
    assert run.state == "previewed"
    assert {row.foreseen for row in run.rows.all()} >= {"will"}


def test_releases_of_every_way_are_there():
    rollouts = list(Rollout.objects.all())
    assert {row.strategy for row in rollouts} == {"all", "canary", "phased"}
    assert {row.state for row in rollouts} >= {"running", "paused", "completed"}
    paused = next(row for row in rollouts if row.state == "paused")
    assert "goes on on Monday" in paused.said
    assert ReleaseException.objects.exclude(used_at=None).exists()
    back = Rollback.objects.get()
    assert back.from_version.rolled_back and back.dossier["schema"] == "arm.rollback/v1"
    assert back.from_version.rebind_by > clock.now(), "it is bound elsewhere, until then"


def test_a_role_lacks_somebody_and_another_is_assigned():
    assert RoleAssignment.objects.for_list().in_force().exists()
    roles = list(RoleDefinition.objects.all())
    lacking = with_gaps(RoleDefinition.objects.all(), User.objects.get(username="judy"))
    assert lacking and roles
    page = signed_in("judy").get("/registry/roles/?gaps=true").content.decode()
    assert all((role.get_absolute_url() in page) == (role.pk in lacking) for role in roles)


GOVERNED = {
    "registry.approvals.required",
    "registry.version.repointed",
    "registry.project.created",
    "registry.provider.closed",
    "registry.providers.allowed",
    "registry.slot.closed",
}


def test_its_people_govern_by_every_door_named_here():
    assert set(ChangeRecord.objects.values_list("verb", flat=True)) >= GOVERNED
    assert AgentTemplate.objects.filter(project__slug="quarter-close").exists()
    bom = VersionEvidence.objects.get(kind="bom")
    made = set(VersionEvidence.objects.filter(version=bom.version_id).values_list("kind", flat=True))
    assert {"lineage", "evaluation", "bom"} <= made, made


# --- what is rare -------------------------------------------------------------------------------------------


def test_a_candidate_waits_for_the_second_of_two_approvals():
    version = AgentVersion.objects.get(state="candidate", template__risk="critical")
    held = quorum(version)
    assert (held.needs, [row.person.username for row in held.given], held.left) == (2, ["erin"], 1)
    frank = signed_in("frank")
    assert version.get_absolute_url() in frank.get("/registry/versions/?approval=mine").content.decode()
    page = frank.get(version.get_absolute_url()).content.decode()
    assert "1 of 2 approved: Erin Approver" in unescape(re.sub(r"<[^>]+>", "", page))


def test_a_baseline_is_pinned_and_the_candidate_is_held_against_it():
    baseline = Baseline.objects.get(until=None)
    assert (baseline.run.version.number, baseline.created_by.username) == (1, "carol")
    (candidate,) = baseline.template.versions.filter(state="candidate")
    (met,) = [one for one in standings(candidate) if one.suite == baseline.suite]
    assert met.passed and met.run.version == candidate
    page = signed_in("carol").get(baseline.run.get_absolute_url()).content.decode()
    assert "No build may fall behind what was promised at first" in page


def test_a_partners_agent_came_by_its_card_and_says_what_it_lacks():
    version = AgentVersion.objects.select_related("genome", "created_by").get(template__slug="customs-desk")
    assert (version.state, version.label, version.created_by.username) == ("draft", "4.2.0", "bob")
    document = version.genome.document()
    assert {skill["id"] for skill in document["skills"]} == {"declare", "classify"}
    assert document["security"] and "models" not in document, "a card names no models"
    page = signed_in("bob").get(version.get_absolute_url()).content.decode()
    assert "The genome lacks models, prompts, tools, provenance." in page


def test_a_child_was_granted_a_budget_below_its_parents():
    term = SpawnTerm.objects.get(kind="budget", origin="granted", value__startswith="5 USD a day")
    child = AgentInstance.objects.get(pk=term.instance_id)
    own, above = (Cap.objects.get(instance=one, until=None) for one in (child, child.parent))
    assert (own.per_day, own.currency) == (5, above.currency) and own.per_day < above.per_day
    page = signed_in("dan").get(f"{child.parent.get_absolute_url()}spawn-tree/")
    assert page.status_code == 200 and child.name in page.content.decode()


def test_a_rollout_was_aborted_and_the_slots_went_on_by_another_one():
    (aborted,) = Rollout.objects.filter(state="aborted")
    assert (aborted.strategy, aborted.role.slug) == ("canary", "engineer")
    after = Rollout.objects.get(role=aborted.role, version=aborted.version, state="running")
    assert after.strategy == "phased" and after.created_at > aborted.state_since
    assert set(after.slots.values_list("slot", flat=True)) == set(
        aborted.slots.values_list("slot", flat=True)
    )


def test_a_rollout_was_paused_and_resumed_and_baked_again_from_then_on():
    rollout = Rollout.objects.get(role__slug="first-line", state="running")
    told = ChangeRecord.objects.filter(target_id=rollout.pk).order_by("at")
    verbs = [verb.removeprefix("registry.rollout.") for verb in told.values_list("verb", flat=True)]
    assert verbs == ["planned", "started", "paused", "resumed", "advanced"]
    first, second = rollout.steps.order_by("number")[:2]
    resumed = told.get(verb="registry.rollout.resumed")
    assert abs(first.started_at - resumed.at) < timedelta(seconds=1)
    assert (first.state, second.state) == ("passed", "baking")


def test_what_was_only_tried_had_drained_and_was_retired_by_hand():
    retired = ChangeRecord.objects.get(reason="It has nothing left to do")
    assert retired.actor_label == "Dan Oncall", "no rule"
    spells = InstanceInterval.objects.filter(instance=retired.target_id).order_by("since")
    assert list(spells.values_list("state", flat=True)) == ["provisioning", "active", "draining", "retired"]
    instance = AgentInstance.objects.select_related("status").get(pk=retired.target_id)
    drained = spells.get(state="draining")
    assert instance.status.telemetry_at < drained.since < clock.now() - timedelta(hours=1)
