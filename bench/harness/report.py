"""The table on the screen, the JSON for machines, and docs/benchmarks.md from the figures kept in the repository."""

import json
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arm.management.local import ROOT

from .figures import Figure

KEPT = ROOT / "bench" / "kept.json"
DOCS = ROOT / "docs" / "benchmarks.md"
INTRODUCTION = """\
# Benchmarks

Written by `./run bench --write-docs`; measure again with `./run bench`. A limit is a promise of the project; the
ratio is the figure divided by its reference of the same run (see the bench's module), which a busy machine
leaves comparable where absolute figures vary by 40 %.

"""


def as_json(figures: Sequence[Figure]) -> dict[str, dict[str, Any]]:
    """Name to value, unit, limit and ratio, with the machine and the commit that were measured."""
    about = {"machine": machine(), "commit": commit(), "date": datetime.now(UTC).date().isoformat()}
    return {
        figure.name: {
            "value": significant(figure.value),
            "unit": figure.unit,
            "limit": None if figure.limit is None else significant(figure.limit),
            "ratio": None if figure.ratio is None else significant(figure.ratio),
            "sense": figure.sense,
            **about,
        }
        for figure in figures
    }


def table(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """Aligned text, one line a figure."""
    lines = [("figure", "value", "unit", "limit", "ratio", "")]
    for name, facts in figures.items():
        lines.append((name, *cells(facts), "" if holds(facts) else "MISSED"))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 2) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def write_docs(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """Merge these figures into the kept ones and write the page; what was not measured now keeps its row."""
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    kept |= figures
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    rows = ["| figure | value | limit | ratio | commit | date |", "|---|---:|---:|---:|---|---|"]
    for name, facts in sorted(kept.items()):
        value, unit, limit, ratio = cells(facts)
        missed = "" if holds(facts) else " **missed**"
        rows.append(
            f"| `{name}` | {value} {unit}{missed} | {limit} | {ratio} | `{facts['commit']}` | {facts['date']} |"
        )
    machines = sorted({facts["machine"] for facts in kept.values()})
    DOCS.write_text(INTRODUCTION + f"Machine: {'; '.join(machines)}\n\n" + "\n".join(rows) + "\n")


def cells(facts: Mapping[str, Any]) -> tuple[str, str, str, str]:
    sign = "≤" if facts["sense"] == "at most" else "≥"
    return (
        written(facts["value"]),
        facts["unit"],
        "" if facts["limit"] is None else f"{sign} {written(facts['limit'])}",
        "" if facts["ratio"] is None else written(facts["ratio"]),
    )


def holds(facts: Mapping[str, Any]) -> bool:
    return Figure("", facts["value"], "", facts["limit"], None, facts["sense"]).good


def significant(number: float) -> float:
    """Three significant digits: more would be noise."""
    return float(f"{number:.3g}")


def written(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 or number == int(number) else f"{number:g}"


def machine() -> str:
    """Cores, memory, processor, Python: what a figure depends on."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    except (ValueError, OSError):
        memory = 0.0
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {processor()}, {platform.system()} "
        f"{platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )


def pace() -> str:
    """How fast this machine is at the moment: machines that others share are at half their pace for hours, and a figure in
    seconds says nothing then that its ratio does not say."""

    def steps() -> float:
        began = time.perf_counter()
        total = 0
        for number in range(1_000_000):
            total += number * number
        return time.perf_counter() - began

    return f"a million steps of Python in {min(steps() for _ in range(5)) * 1000:.0f} ms"


def processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.machine()


def commit() -> str:
    """The commit that was measured, with a plus when the checkout differs from it."""
    try:
        number = subprocess.run(
            ["git", "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return number + ("+" if changed.strip() else "")
