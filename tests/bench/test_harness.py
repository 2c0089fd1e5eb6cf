"""The harness judges, prints and keeps figures; the benches themselves run by `./run bench`, not here."""

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.__main__ import main, names
from bench.harness import Figure, as_served, percentile, report
from bench.harness.cpu import Meter


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(report, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(report, "DOCS", tmp_path / "benchmarks.md")
    yield tmp_path


def test_a_limit_holds_on_its_good_side() -> None:
    assert Figure("list_p95", 150.0, "ms", limit=150).good
    assert not Figure("list_p95", 150.1, "ms", limit=150).good
    assert Figure("decide", 5000, "calls/s", limit=5000, sense="at least").good
    assert not Figure("decide", 4999, "calls/s", limit=5000, sense="at least").good
    assert Figure("for the record", 1, "ms").good


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.95, 95), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_sample_that_was_seen(share: float, expected: int) -> None:
    assert percentile(list(range(1, 101)), share) == expected


def test_no_samples_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        percentile([], 0.5)


def test_the_json_names_value_unit_limit_and_ratio_and_what_was_measured() -> None:
    facts = report.as_json([Figure("ingest", 52_345.6, "events/s", 35_000, 0.5231, "at least")])["ingest"]
    assert (facts["value"], facts["unit"], facts["limit"], facts["ratio"]) == (
        52_300,
        "events/s",
        35_000,
        0.523,
    )
    assert facts["machine"] and facts["commit"]


def test_the_table_marks_what_missed_its_limit() -> None:
    facts = report.as_json([Figure("slow", 200, "ms", limit=150), Figure("fast", 1.25, "ms", limit=150)])
    lines = report.table(facts).splitlines()
    assert lines[0].split() == ["figure", "value", "unit", "limit", "ratio"]
    assert lines[1].split() == ["slow", "200", "ms", "≤", "150", "MISSED"]
    assert lines[2].split() == ["fast", "1.25", "ms", "≤", "150"]


def test_the_page_keeps_the_rows_that_were_not_measured_again(kept: Path) -> None:
    report.write_docs(report.as_json([Figure("old", 3, "ms"), Figure("both", 1, "ms")]))
    report.write_docs(report.as_json([Figure("both", 2, "ms", limit=1)]))
    page = report.DOCS.read_text()
    assert "| `old` | 3 ms |" in page
    assert "| `both` | 2 ms **missed** | ≤ 1 |" in page
    assert json.loads(report.KEPT.read_text())["both"]["value"] == 2


def test_an_unknown_bench_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["no_such_bench"])
    assert f"there is no bench no_such_bench; there are {', '.join(names())}" in capsys.readouterr().err


def test_benches_start_from_a_bare_environment() -> None:
    """As `./run bench` starts them: nothing has set Django up yet."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DJANGO")}
    said = subprocess.run(
        [sys.executable, "-m", "bench", "--help"],
        cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert all(name in said.stdout for name in names())


@pytest.mark.django_db
def test_cpu_is_counted_of_what_runs_below_this_process() -> None:
    meter = Meter()
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdout.readline()
        assert 0.2 < meter.seconds().ours < 2
        child.kill()


def test_the_page_in_the_repository_is_the_one_the_kept_figures_give(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = report.DOCS.read_text()
    monkeypatch.setattr(report, "DOCS", tmp_path / "again.md")
    report.write_docs({})
    assert (tmp_path / "again.md").read_text() == page


def test_a_kept_figure_holds_its_limit_or_the_roadmap_names_it() -> None:
    kept = json.loads(report.KEPT.read_text())
    missed = {name for name, facts in kept.items() if not report.holds(facts)}
    roadmap = (Path(__file__).parents[2] / "docs/roadmap.md").read_text()
    assert {name for name in missed if f"`{name}`" not in roadmap} == set()


def test_one_bench_leaves_the_collector_to_the_next_as_it_found_it() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with as_served():
        assert gc.get_threshold() != before[0] and gc.get_freeze_count() > before[1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
