"""The rest of the directory for machines: acts on many rows, projects, the tenant's rules, and that every door has an endpoint."""

import ast
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from arm.models import ChangeRecord, Tenant
from arm.rights import Right
from registry import services
from registry.lifecycle import InstanceState
from registry.models import AgentTemplate, BulkRun, DirectoryRules, Project
from registry.services import many
from tests import make
from tests.registry.calling import Caller, pointers

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]


@pytest.fixture
def alice(acme: Tenant) -> Caller:
    return Caller(make.everything(make.user("alice", member_of=acme), acme))


# --- acts on many rows ---------------------------------------------------------------------------------------


def test_an_act_is_previewed_looked_at_and_applied_once(alice: Caller) -> None:
    one, two, gone = (
        make.instance(name="one"),
        make.instance(name="two"),
        make.instance(name="gone", state="retired"),
    )
    body = {"action": "quarantine", "rows": [row.typeid for row in (one, two, gone)]}
    made = alice.send("post", "acts/", body, Idempotency_Key="k")
    assert made.status_code == 201, made.content
    run = made.json()
    assert (run["state"], run["total"], run["outcomes"]) == ("previewed", 3, {})
    assert run["foreseen"] == {"will": 2, "refused": 1}
    assert alice.client.get(made["Location"]).json() == run
    assert alice.send("post", "acts/", body, Idempotency_Key="k").json() == run
    assert BulkRun.objects.count() == 1 and one.state == InstanceState.ACTIVE

    rows = alice.get(f"acts/{run['id']}/rows/").json()["results"]
    assert {row["label"]: row["foreseen"] for row in rows} == {
        "one": "will",
        "two": "will",
        "gone": "refused",
    }
    assert {row["target"] for row in rows} == {one.typeid, two.typeid, gone.typeid}
    (refused,) = alice.get(f"acts/{run['id']}/rows/?foreseen=refused").json()["results"]
    assert "cannot become Quarantined" in refused["foreseen_says"]

    read = alice.get(f"acts/{run['id']}/")["ETag"]
    stale = alice.send("post", f"acts/{run['id']}/apply/", {"reason": "leak"}, If_Match='"of another"')
    assert (stale.status_code, stale.json()["code"]) == (412, "changed_meanwhile")
    done = alice.send(
        "post", f"acts/{run['id']}/apply/", {"reason": "leak"}, If_Match=read, Idempotency_Key="a"
    )
    assert done.status_code == 200, done.content
    assert (done.json()["state"], done.json()["outcomes"]) == ("done", {"applied": 2, "left": 1})
    again = alice.send(
        "post", f"acts/{run['id']}/apply/", {"reason": "leak"}, If_Match=read, Idempotency_Key="a"
    )
    assert again.json() == done.json() and again["Idempotency-Replayed"] == "true"
    one.refresh_from_db()
    assert one.state == InstanceState.QUARANTINED
    assert ChangeRecord.objects.filter(verb="registry.instance.restricted", reason="leak").count() == 2


def test_all_that_a_list_shows_for_a_question_are_chosen_by_the_question(alice: Caller) -> None:
    for slug, risk in (("a", "high"), ("b", "high"), ("c", "low")):
        make.template(slug, risk=risk)
    made = alice.post("acts/", action="add_tag", list="registry:template_list", query="risk=high", tag="Vip")
    assert (made.json()["total"], made.json()["params"]) == (2, {"tag": "vip"})
    alice.post(f"acts/{made.json()['id']}/apply/", reason="sorted")
    assert sorted(AgentTemplate.objects.filter(tags=["vip"]).values_list("slug", flat=True)) == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"action": "dance", "rows": []}, {"/action"}),
        ({"action": "add_tag", "tag": "x"}, {"/rows"}),
        ({"action": "add_tag", "tag": "x", "rows": [], "list": "registry:template_list"}, {"/rows"}),
        ({"action": "add_tag", "tag": "x", "rows": []}, {"/rows"}),
        ({"action": "add_tag", "tag": "x", "rows": ["nonsense"]}, {"/rows/0"}),
        ({"action": "add_tag", "rows": ["TEMPLATE"]}, {"/tag"}),
        ({"action": "set_owners", "rows": ["TEMPLATE"], "owners": ["nobody"]}, {"/owners/0"}),
        ({"action": "add_tag", "tag": "x", "list": "registry:version_list"}, {"/list"}),
        ({"action": "add_tag", "tag": "x", "list": "registry:template_list", "query": "colour=red"}, {"/query/colour"}),
        ({"action": "add_tag", "tag": "x", "rows": ["TEMPLATE"], "force": True}, {"/force"}),
        ({"action": "pause", "rows": ["INSTANCES"]}, {"/rows"}),
    ],
)  # fmt: skip
def test_what_is_wrong_about_an_act_is_named_and_nothing_is_kept(
    body: dict[str, Any], where: set[str], alice: Caller
) -> None:
    from_test = {
        "TEMPLATE": [make.template().typeid],
        "INSTANCES": [f"ins_{'0' * 24}{n:02}" for n in range(51)],
    }
    rows = [found for row in body.get("rows", ()) for found in from_test.get(row, [row])]
    assert pointers(alice.post("acts/", **body | ({"rows": rows} if "rows" in body else {}))) == where
    assert not BulkRun.objects.exists()


def test_rows_that_are_not_mine_to_see_are_not_there(acme: Tenant, alice: Caller) -> None:
    hidden, mine = make.template(), make.template()
    carol = make.user("carol", member_of=acme)
    make.grant(carol, mine, Right.READ_DIRECTORY, Right.CREATE_VERSION)
    asked = Caller(carol).post("acts/", action="add_tag", tag="x", rows=[mine.typeid, hidden.typeid])
    assert asked.status_code == 404 and not BulkRun.objects.exists()


def test_an_act_is_its_persons_and_the_auditors_and_applied_by_its_person(
    acme: Tenant, alice: Caller
) -> None:
    run = alice.post("acts/", action="add_tag", tag="x", rows=[make.template().typeid]).json()
    audrey, vera = Caller(make.hired("audrey", "auditor", acme)), Caller(make.hired("vera", "viewer", acme))
    assert [row["id"] for row in audrey.get("acts/").json()["results"]] == [run["id"]]
    assert audrey.post(f"acts/{run['id']}/apply/", reason="mine").status_code == 403
    assert vera.get("acts/").json()["results"] == []
    assert vera.get(f"acts/{run['id']}/").status_code == 404
    assert vera.get(f"acts/{run['id']}/rows/").status_code == 404
    assert vera.post(f"acts/{run['id']}/apply/", reason="mine").status_code == 404


def test_a_large_act_is_waited_for(alice: Caller, work_off: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "AT_ONCE", 1)
    rows = [make.template().typeid for _ in range(3)]
    run = alice.post("acts/", action="add_tag", tag="x", rows=rows).json()
    assert (run["state"], run["foreseen"]) == ("previewing", {})
    early = alice.post(f"acts/{run['id']}/apply/", reason="early")
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    work_off()
    assert alice.get(f"acts/{run['id']}/").json()["foreseen"] == {"will": 3}
    assert alice.post(f"acts/{run['id']}/apply/", reason="now").json()["state"] == "applying"
    work_off()
    assert [row["id"] for row in alice.get("acts/?state=done").json()["results"]] == [run["id"]]


# --- projects ------------------------------------------------------------------------------------------------


def test_a_project_is_made_renamed_and_agents_move_to_it(acme: Tenant, alice: Caller) -> None:
    made = alice.post("projects/", slug="care", name="Care", cost_center="CC-7", reason="new budget")
    assert made.status_code == 201 and made["Location"] == made.json()["url"]
    taken = alice.post("projects/", slug="care", name="Other", reason="again")
    assert (taken.status_code, taken.json()["existing"]) == (409, made.json())
    url = f"projects/{made.json()['id']}/"
    etag = alice.get(url)["ETag"]
    body = {"name": "Customer care", "reason": "clearer"}
    assert alice.send("patch", url, body, If_Match=etag).json()["name"] == "Customer care"
    assert alice.send("patch", url, body, If_Match=etag).status_code == 412
    record = ChangeRecord.objects.get(verb="registry.project.updated")
    assert (record.before, record.after, record.reason) == (
        {"name": "Care"},
        {"name": "Customer care"},
        "clearer",
    )
    assert [row["slug"] for row in alice.get("projects/?q=customer").json()["results"]] == ["care"]

    agent = alice.post("templates/", slug="desk", name="Desk", project="care", reason="r").json()
    assert (agent["project"], agent["cost_center"]) == ("care", "CC-7")
    moved = alice.send("patch", f"templates/{agent['id']}/", {"project": None, "reason": "on its own"})
    assert moved.json()["project"] is None
    wrong = alice.send("patch", f"templates/{agent['id']}/", {"project": "nowhere", "reason": "r"})
    assert pointers(wrong) == {"/project"}


def test_who_does_not_manage_the_directory_makes_and_renames_no_project(acme: Tenant) -> None:
    vera, project = (
        Caller(make.hired("vera", "viewer", acme)),
        Project.objects.create(tenant=acme, slug="care", name="Care"),
    )
    assert vera.get(f"projects/{project.typeid}/").json()["name"] == "Care"
    assert vera.post("projects/", slug="b", name="B", reason="r").status_code == 403
    assert (
        vera.send("patch", f"projects/{project.typeid}/", {"name": "Mine", "reason": "r"}).status_code == 403
    )
    assert Project.objects.get().name == "Care"


def test_a_project_is_renamed_in_the_admin(acme: Tenant, alice: Caller) -> None:
    project = Project.objects.create(tenant=acme, slug="care", name="Care")
    url = reverse("admin:registry_project_change", args=[project.pk])
    assert alice.client.post(url, {"name": "Cure", "cost_center": "C", "reason": "typo"}).status_code == 302
    project.refresh_from_db()
    assert (project.name, project.slug) == ("Cure", "care")
    assert ChangeRecord.objects.get(verb="registry.project.updated").reason == "typo"


# --- the tenant's rules --------------------------------------------------------------------------------------


def test_the_rules_are_read_and_changed_with_what_was_read(acme: Tenant, alice: Caller) -> None:
    make.environment("dev"), make.environment("prod")
    read = alice.get("rules/")
    assert read.json() == {
        "profiles": [],
        "prompts_kept": False,
        "verified_evidence": False,
        "deprecates_from": "",
        "channels": ["dev", "prod"],
        "providers": [],
        "approvals": {"low": 1, "medium": 1, "high": 1, "critical": 1},
    }
    assert alice.get("rules/", **{"If-None-Match": read["ETag"]}).status_code == 304
    body = {"profiles": ["memory"], "verified_evidence": True, "reason": "audit"}
    changed = alice.send("patch", "rules/", body, If_Match=read["ETag"])
    assert changed.status_code == 200, changed.content
    assert (changed.json()["profiles"], changed.json()["verified_evidence"]) == (["memory"], True)
    assert changed["ETag"] == alice.get("rules/")["ETag"] != read["ETag"]
    stale = alice.send("patch", "rules/", {"prompts_kept": True, "reason": "r"}, If_Match=read["ETag"])
    assert (stale.status_code, stale.json()["etag"]) == (412, changed["ETag"])
    more = {"prompts_kept": True, "deprecates_from": "s1", "reason": "r"}
    alice.send("patch", "rules/", more, If_Match=changed["ETag"])
    held = DirectoryRules.objects.get()
    assert held.deprecates_from == "s1"
    assert (held.required_profiles, held.prompts_kept, held.verified_evidence) == (["memory"], True, True)
    verbs = ChangeRecord.objects.filter(target_id=held.pk).values_list("verb", flat=True)
    assert sorted(verbs) == [
        "registry.deprecation.ruled",
        "registry.evidence.required",
        "registry.profiles.required",
        "registry.profiles.required",
    ]


def test_of_several_rules_one_that_is_wrong_changes_none(alice: Caller) -> None:
    body = {"profiles": ["memory", "soul"], "verified_evidence": True, "reason": "r"}
    assert pointers(alice.send("patch", "rules/", body)) == {"/profiles/1"}
    assert pointers(alice.send("patch", "rules/", {"colour": 1})) == {"/colour", "/reason"}
    assert pointers(alice.send("patch", "rules/", {"deprecates_from": "s9", "reason": "r"})) == {
        "/deprecates_from"
    }
    assert not DirectoryRules.objects.exists() and not ChangeRecord.objects.exists()


def test_readers_see_the_rules_and_managers_change_them(acme: Tenant) -> None:
    vera, mallory = Caller(make.hired("vera", "viewer", acme)), Caller(make.user("mallory", member_of=acme))
    assert vera.get("rules/").status_code == 200
    assert vera.send("patch", "rules/", {"prompts_kept": True, "reason": "r"}).status_code == 403
    assert mallory.get("rules/").status_code == 403
    assert not DirectoryRules.objects.exists()


# --- every door ----------------------------------------------------------------------------------------------

NO_ENDPOINT = {
    "apply_files": "a command on the machine applies a directory; the API has bulk and imports",
    "export_files": "a command, for files on a disk",
    "begin_sweep": "of the worker",
    "sweep_on": "of the worker",
    "recount_live": "of the worker",
    "note_tampered": "of whoever reads a genome",
    "drain_left": "of the worker",
    "due_rollouts": "of the worker",
    "advance_rollout": "of the worker",
    "recheck_candidates": "of the worker",
    "slots_of": "of the worker",
    "supersede": "of the worker",
    "tell_overdue": "of the worker",
    "tell_lacking": "of the worker",
    "drained_after": "of the worker",
    "retire_drained": "of the worker",
    "take_drain_round": "of the worker",
    "touch_drain_round": "of the worker",
    "end_drain_round": "of the worker",
    "next_step": "of the worker",
    "take_table_step": "of the worker",
    "wake_stalled_tables": "of the worker",
    "wake_stalled_bulk": "of the worker",
    "work_off_bulk": "of the worker",
    "settle_slot": "of the worker",
    "slots_handing_over": "of the worker",
    "deprecate_for": "of whoever opens an incident",
    "deprecate_from": "PATCH rules/ asks it",
    "replacements_waiting": "of the worker",
    "activate_replacement": "of the worker",
    "as_it_is": "what the form that changes an environment began with",
    "allow_providers": "PATCH rules/ asks it",
    "require_approvals": "PATCH rules/ asks it",
    "read_version": "GET versions/…/export/ asks it by export_version",
    "read_genome": "GET genomes/…/content/ asks it by take_genome",
    "ensure_tenant_defaults": "of whoever makes a tenant",
    "pass_on": "of whoever ends a membership",
    "withdraw_all_of": "of whoever ends a membership, or closes an account",
    "restrict_instance": "POST instances/…/move/ asks it where the move is a restriction",
    "require_profiles": "PATCH rules/ asks it",
    "require_evidence": "PATCH rules/ asks it",
    "issue_ingest_key": "a token issues no other: a person does, signed in, on the page",
    "issue_workload_token": "a token issues no other: a person does, signed in, on the page",
}  # fmt: skip


def test_every_door_of_the_directory_has_an_endpoint_or_a_reason_why_not() -> None:
    asked = set()
    for path in (ROOT / "registry/api").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "services"
            ):
                asked.add(node.attr)
    doors = {name for name in services.__all__ if name[0].islower()}
    assert doors - asked == NO_ENDPOINT.keys()
    assert not asked & NO_ENDPOINT.keys()
