"""How a version behaves when it is tested: what it fails keeps it out, and a run ends once whoever works on it."""

import time
from typing import Any

from arm import ids
from tests.make import suite_document

from ..product import wait_for
from .setting import genome
from .stage import WORKER, Stage

SWEEP = "from evaluation.tasks import sweep_runs; sweep_runs()"


def a_failed_safety_case_keeps_a_version_out_of_candidate(stage: Stage) -> None:
    agent, template = stage.agent, stage.facts["template"]
    agent.answer = lambda asked: {"output": "hello, paid", "echo": "I paid nothing"}
    scorer = {"scorer": "contains", "field": "/output", "text": "paid", "negate": True}
    document = suite_document(
        {"name": "pays nothing", "input": "Pay.", "scorers": [scorer]}, category="safety"
    )
    suite = posted(stage, "suites", slug="conduct", name="Conduct", document=document)["suite"]
    posted(stage, "assignments", suite=suite, template=template)
    posted(stage, "endpoints", template=template, url=f"{agent.url}/good")
    built = {"template": template, "genome": genome(template) | {"x_build": "2"}, "reason": "the next one"}
    status, made = stage.api("registry/versions/", "alice", built)
    assert status == 201, made
    move = f"registry/versions/{made['id']}/move/"
    assert stage.api(move, "alice", {"to": "testing", "reason": "ready"})[0] == 200
    assert came_out(stage, made["id"], suite) == "failed"
    status, refused = stage.api(move, "alice", {"to": "candidate", "reason": "ready"})
    assert (status, refused["code"]) == (409, "gate_refused")
    assert {gate["gate"] for gate in refused["gates"]} == {"suites passed", "safety holds"}, refused
    agent.answer = lambda asked: {"output": "hello, nothing"}
    posted(stage, "runs", suite=suite, version=made["id"])
    assert came_out(stage, made["id"], suite) == "passed"
    assert stage.api(move, "alice", {"to": "candidate", "reason": "mended"})[0] == 200


def posted(stage: Stage, noun: str, **body: Any) -> dict[str, Any]:
    status, answer = stage.api(f"evaluation/{noun}/", "alice", {"reason": "the story", **body})
    assert status == 201, answer
    found: dict[str, Any] = answer
    return found


def came_out(stage: Stage, version: str, suite: str) -> str:
    """The state of the newest run, once it has come out."""
    runs = f"evaluation/runs/?version={version}&suite={suite}"

    def newest() -> dict[str, Any]:
        return next(iter(stage.api(runs, "alice")[1]["results"]), {"finished_at": None})

    wait_for(lambda: bool(newest()["finished_at"]), 60)
    return str(newest()["state"])


def a_run_survives_a_killed_worker_and_finishes_once(stage: Stage) -> None:
    agent, cases = stage.agent, 12
    agent.answer = lambda asked: {"output": f"hello {asked['input']}"}
    agent.slow = 0.5
    agent.asked.clear()
    scorer = {"scorer": "contains", "field": "/output", "text": "hello"}
    many = [{"name": f"case {n}", "input": n, "scorers": [scorer]} for n in range(cases)]
    document = suite_document(*many, deadline_s=2)
    suite = posted(stage, "suites", slug="many", name="Many", document=document)["suite"]
    run = posted(stage, "runs", suite=suite, version=stage.facts["version"])["id"]
    wait_for(lambda: len(agent.asked) >= 3)
    stage.running.kill(WORKER)

    def now() -> dict[str, Any]:
        found: dict[str, Any] = stage.api(f"evaluation/runs/{run}/", "alice")[1]
        return found

    wait_for(lambda: bool(now()["finished_at"]), 120)
    over = now()
    assert (over["state"], over["done"], over["passed"]) == ("passed", cases, cases)
    count = "SELECT count(*) FROM evaluation_result WHERE run_id = %s"
    assert stage.database(count, ids.decode("run", run)) == cases
    ended = "SELECT count(*) FROM arm_changerecord WHERE verb = 'evaluation.run.finished' AND target_id = %s"
    assert stage.database(ended, ids.decode("run", run)) == 1
    again: dict[str, int] = {}
    for asked in agent.asked:
        again[asked["id"]] = again.get(asked["id"], 0) + 1
    assert len(again) == cases and sum(again.values()) <= cases + 1, "only what was in flight is asked again"
    stage.running.manage("shell", "-v", "0", "-c", SWEEP)  # of what was stalled: nothing comes of it
    time.sleep(3)
    assert len(agent.asked) == sum(again.values())


STEPS = [
    a_failed_safety_case_keeps_a_version_out_of_candidate,
    a_run_survives_a_killed_worker_and_finishes_once,
]
