"""One foreground command for several programs: nothing of theirs is lost, and nothing of them is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from arm.management.supervisor import StepFailed, Stopped, Supervisor

FOREVER = "import time\nprint('started', flush=True)\ntime.sleep(600)"
STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('started', flush=True)\ntime.sleep(600)"
# A master with a worker that holds the same output, as a web server has.
WITH_WORKER = f"""
import os, sys, time
worker = os.fork()
if worker == 0:
    os.execv(sys.executable, [sys.executable, "-c", {FOREVER!r}])
print("worker", worker, flush=True)
time.sleep(600)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def new(place: Path) -> Supervisor:
    return Supervisor(environment=dict(os.environ), directory=place, watch=lambda: None)


def wait(supervisor: Supervisor, reached: Callable[[], bool]) -> None:
    assert supervisor.until(reached, each=lambda: None, seconds=10), "it did not happen within 10 s"


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pid_of(supervisor: Supervisor, name: str) -> int:
    (process,) = [child.process for child in supervisor.children if child.name == name]
    assert process is not None
    return process.pid


def test_every_line_carries_the_name_of_its_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with new(tmp_path) as supervisor:
        lines = supervisor.step("greeter", python("print('hello'); print('half', end='')"))
    assert lines == ["hello", "half"]
    assert capsys.readouterr().out == "greeter   | hello\ngreeter   | half\n"


def test_a_step_that_fails_says_which_and_how(tmp_path: Path) -> None:
    with new(tmp_path) as supervisor, pytest.raises(StepFailed, match="prepare ended with 3"):
        supervisor.step("prepare", python("raise SystemExit(3)"))


def test_a_killed_program_is_started_again_and_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with new(tmp_path) as supervisor:
        supervisor.start("web", python(FOREVER))
        first = pid_of(supervisor, "web")
        os.kill(first, signal.SIGKILL)
        wait(supervisor, lambda: supervisor.children[0].process is None)
        wait(supervisor, lambda: supervisor.children[0].process is not None)
        assert pid_of(supervisor, "web") != first
    assert "web ended with -9; starting it again in 0.5 s" in capsys.readouterr().out


def test_workers_of_a_killed_master_do_not_outlive_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with new(tmp_path) as supervisor:
        supervisor.start("web", python(WITH_WORKER))
        said = ""

        def both_started() -> bool:
            nonlocal said
            said += capsys.readouterr().out
            return "worker " in said and "started" in said

        wait(supervisor, both_started)
        worker = int(said.partition("worker ")[2].split()[0])
        assert alive(worker)
        os.kill(pid_of(supervisor, "web"), signal.SIGKILL)
        wait(supervisor, lambda: not alive(worker))


def test_a_program_that_keeps_dying_is_started_ever_more_slowly(tmp_path: Path) -> None:
    with new(tmp_path) as supervisor:
        supervisor.start("web", python("raise SystemExit(1)"))
        wait(supervisor, lambda: supervisor.children[0].delay >= 2)
    assert supervisor.children == []


def test_a_stop_ends_all_programs_even_one_that_does_not_listen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with new(tmp_path) as supervisor:
        supervisor.start("polite", python(FOREVER))
        supervisor.start("stubborn", python(STUBBORN))
        said = ""

        def both_started() -> bool:
            nonlocal said
            said += capsys.readouterr().out
            return said.count("started") == 2

        wait(supervisor, both_started)
        pids = [pid_of(supervisor, name) for name in ("polite", "stubborn")]
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert not any(alive(pid) for pid in pids)


def test_sigterm_stops_a_step_too(tmp_path: Path) -> None:
    with new(tmp_path) as supervisor:
        with pytest.raises(Stopped):
            supervisor.step("demo", python(f"import os, time; os.kill({os.getpid()}, 15); time.sleep(600)"))
        pid = pid_of(supervisor, "demo")
    assert not alive(pid)


def test_a_reader_that_goes_away_stops_it_all() -> None:
    script = f"""
        from pathlib import Path
        from arm.management.supervisor import Stopped, Supervisor
        with Supervisor(environment={{}}, directory=Path("."), watch=lambda: None) as supervisor:
            supervisor.start("web", {python("while True: print('x', flush=True)")!r})
            try:
                supervisor.until(lambda: False, each=lambda: None, seconds=60)
            except Stopped:
                pass
    """
    with subprocess.Popen(python(script), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None and outer.stderr is not None
        assert outer.stdout.readline() == "web       | x\n"
        outer.stdout.close()
        assert outer.wait(10) == 0, outer.stderr.read()
        assert outer.stderr.read() == ""


def test_kill_9_of_the_supervisor_leaves_no_orphans(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        from arm.management.supervisor import Supervisor
        with Supervisor(environment={{}}, directory=Path("."), watch=lambda: None) as supervisor:
            supervisor.start("web", {python(FOREVER)!r})
            print(supervisor.children[0].process.pid, flush=True)
            supervisor.until(lambda: False, each=lambda: None, seconds=60)
    """
    with subprocess.Popen(python(script), stdout=subprocess.PIPE, text=True) as outer:
        assert outer.stdout is not None
        child = int(outer.stdout.readline())
        while "started" not in outer.stdout.readline():
            pass
        outer.kill()
    until = time.monotonic() + 5
    while alive(child) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(child)
