"""The documents say what the code does, where a test can tell."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READ = re.compile(
    r"""(?:\benv(?:_bool|_int|_list|_map)?\(|environ(?:\.get\(|\[))\s*"((?:ARM_|DATABASE_URL)[A-Z_]*)\""""
)
OURS = {"ARM_ROOT_URLCONF", "ARM_GATEWAY_PORT"}
"""Said by one process of the product to another."""
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("sdk/**/*.md")])


def settings_read() -> set[str]:
    """Every variable of the environment that the product's code reads."""
    apps = ("arm", "registry", "policy", "telemetry", "costs", "evaluation", "evidence", "federation")
    files = [path for app in apps for path in (ROOT / app).rglob("*.py")]
    return {name for path in files for name in READ.findall(path.read_text())}


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
    assert documented == settings_read() - OURS


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_links_only_to_what_is_there(page: Path) -> None:
    targets = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in targets if not (page.parent / link).exists()] == []


FLOORS = {
    "adapters_cpu",
    "adapters_delivery",
    "bulk_import_rate",
    "card_whole",
    "commit_rate",
    "decide_rate",
    "decide_p99_half",
    "digest_sweep_rate",
    "fleet_at_p95",
    "fleet_endpoints_p95",
    "fleet_lists_p95",
    "fleet_lists_statements",
    "ingest_rate",
    "ingest_cpu",
    "log_sequencer_rate",
    "log_verify_rate",
    "posture_p99",
    "posture_listener_lost_max",
    "rollback_1000",
    "version_list_p95",
    "version_list_statements",
    "visible_500_grants",
    "who_uses_p95",
}


def test_every_floor_has_its_measured_row() -> None:
    """Whether a floor is met is said by the row: a missed one carries the word."""
    rows = dict(
        re.findall(r"^\| `(\w+)` \| ([^|]+)\|", (ROOT / "docs/benchmarks.md").read_text(), re.MULTILINE)
    )
    assert rows.keys() >= FLOORS
    assert "+`" not in (ROOT / "docs/benchmarks.md").read_text(), (
        "measured on a tree that was never committed"
    )
