"""How the tests are run: a server that runs share, and coverage that watches where there is something to see."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from arm import pg
from arm.management.local import ROOT
from arm.management.suite import the_server_of_the_tests


@pytest.fixture
def data() -> Iterator[Path]:
    parent = Path(tempfile.mkdtemp(prefix="arm-suite-"))
    parent.chmod(0o711)
    yield parent / "test"
    pg.stop(parent / "test")
    shutil.rmtree(parent)


def tables(url: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()


def test_runs_share_a_server_the_last_one_stops_it_and_one_that_died_begins_anew(data: Path) -> None:
    one, two = the_server_of_the_tests(data), the_server_of_the_tests(data)
    url = one.__enter__()
    assert two.__enter__() == url
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
        connection.execute("CREATE TABLE kept (id int)")
    one.__exit__(None, None, None)
    assert pg.is_running(data), "the other run is still at it"
    two.__exit__(None, None, None)
    assert not pg.is_running(data)

    with the_server_of_the_tests(data) as url:
        assert tables(url) == [("kept",)], "what was stopped is there again"
        os.kill(int((data / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        until = time.monotonic() + 20
        while pg.is_running(data) and time.monotonic() < until:
            time.sleep(0.05)
    with the_server_of_the_tests(data) as url:
        assert tables(url) == []
    shutil.rmtree(
        data / "postgres"
    )  # as far as somebody got who was interrupted: the secrets are still there
    with the_server_of_the_tests(data) as url:
        assert tables(url) == []


MODULE = """
def first():
    return 1
def late():
    return 2
def long():
    return 3
"""
TESTS = """
import module
import pytest
def test_new(): module.first()
def test_old(): module.first()
def test_old_again(): module.first()
def test_late(): module.late()
@pytest.mark.unwatched
def test_long(): module.long()
"""


@pytest.mark.parametrize(("watched", "missing"), [("", "5, 7"), ("all", "")])
def test_a_file_is_watched_until_two_of_its_tests_ran_nothing_new(
    tmp_path: Path, watched: str, missing: str
) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = unwatched\n")
    command = ["-m", "pytest", "-p", "tests.measuring", "-p", "no:django", "-p", "no:xdist", "-q"]
    done = subprocess.run(
        [sys.executable, *command, "--cov=module", "--cov-branch", "--cov-report=term-missing", "test_it.py"],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ARM_COVERAGE": watched},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "5 passed" in done.stdout, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("module.py")]
    assert line.partition("%")[2].strip() == missing, done.stdout
