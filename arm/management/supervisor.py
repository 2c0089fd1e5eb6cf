"""Run several programs in the foreground as one: prefix their output, restart the dead, stop them together."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

# The whole stop must fit into the five seconds that process managers grant before they kill.
STOP_SECONDS = 3.5
FIRST_DELAY, LONGEST_DELAY, STEADY_SECONDS = 0.5, 30.0, 60.0
TICK_SECONDS = 0.5
LONGEST_LINE = 64 * 1024
NAME_WIDTH = 9
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TIE = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Stopped(Exception):
    """SIGINT, SIGTERM or SIGHUP arrived."""


class StepFailed(RuntimeError):
    """A program that had to succeed before the others start did not."""


@dataclass
class Child:
    """One supervised program; its process is the leader of a session of its own."""

    name: str
    command: Sequence[str]
    own: Mapping[str, str] = field(default_factory=dict)
    """What only this program finds in its environment."""
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restart_at: float | None = None
    delay: float = FIRST_DELAY
    rest: bytes = b""
    lines: list[str] = field(default_factory=list)
    once: bool = False


class Supervisor:
    """Owns the children between `with` and its end; whatever happens in between, none is left behind."""

    def __init__(self, *, environment: Mapping[str, str], directory: Path, watch: Callable[[], None]) -> None:
        """`watch` is called at least twice a second for what else must be kept alive."""
        self.environment, self.directory, self.watch = dict(environment), directory, watch
        self.children: list[Child] = []
        self.stopping = False
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = os.pipe()

    def __enter__(self) -> Self:
        for end in (self._wake, self._waker):
            os.set_blocking(end, False)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._old_wakeup = signal.set_wakeup_fd(self._waker)
        self._old_handlers = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_all()
        signal.set_wakeup_fd(self._old_wakeup)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._selector.close()
        os.close(self._wake)
        os.close(self._waker)

    def say(self, line: str, name: str = "arm") -> None:
        """One line in the common log."""
        self.write(f"{name:<{NAME_WIDTH}} | {line}")

    def write(self, line: str) -> None:
        """A line without a name. A reader that went away (`./run | head`) is a wish to stop."""
        try:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.stopping = True

    def step(self, name: str, command: Sequence[str]) -> list[str]:
        """Run one program to its end beside the others; return its lines. Raises StepFailed or Stopped."""
        child = Child(name, command, once=True)
        self.children.append(child)
        self._launch(child)
        while child.process is not None and child.process.poll() is None:
            self._tend(0.05)
        code = self._bury(child)
        self.children.remove(child)
        if code:
            raise StepFailed(f"{name} ended with {code}")
        return child.lines

    def start(self, name: str, command: Sequence[str], **own: str) -> None:
        """Start a program and keep it running; `own` is in its environment alone."""
        child = Child(name, command, own)
        self.children.append(child)
        self._launch(child)

    def until(self, reached: Callable[[], bool], *, each: Callable[[], None], seconds: float) -> bool:
        """Supervise until `reached()`, calling `each()` at least twice a second; False when the time is over."""
        end = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > end:
                return False
            self._tend(TICK_SECONDS)
            each()
        return True

    # --- inside ----------------------------------------------------------------------------------------------

    def _on_signal(self, number: int, _: object) -> None:
        if self.stopping:  # the second Ctrl-C does not wait
            self._kill_all()
        self.stopping = True

    def _check_stop(self) -> None:
        if self.stopping:
            raise Stopped

    def _launch(self, child: Child) -> None:
        child.process = subprocess.Popen(  # noqa: S603 - our own programs, no shell
            tied(child.command, os.getpid()),
            cwd=self.directory,
            env={**self.environment, **child.own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C reaches us alone; we tell the masters
        )
        child.started, child.restart_at, child.rest = time.monotonic(), None, b""
        assert child.process.stdout is not None
        os.set_blocking(child.process.stdout.fileno(), False)
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _tend(self, seconds: float) -> None:
        self._pump(seconds)
        self._check_stop()
        self._mend()
        self.watch()

    def _pump(self, seconds: float) -> None:
        """Pass on what the children print; wait at most that long for something."""
        for key, _ in self._selector.select(seconds):
            if key.data is None:
                with suppress(BlockingIOError):
                    os.read(self._wake, 512)
            else:
                self._read(key.data)

    def _read(self, child: Child) -> None:
        assert child.process is not None and child.process.stdout is not None
        try:
            data = os.read(child.process.stdout.fileno(), LONGEST_LINE)
        except BlockingIOError:
            return
        if not data:
            self._selector.unregister(child.process.stdout)
            child.process.stdout.close()
        *lines, child.rest = (child.rest + data).replace(b"\r\n", b"\n").split(b"\n")
        if child.rest and (not data or len(child.rest) > LONGEST_LINE):
            lines, child.rest = [*lines, child.rest], b""
        for line in lines:
            text = line.decode(errors="replace").rpartition("\r")[2]  # a progress bar: its last state
            self.say(text, child.name)
            if child.once:
                child.lines.append(text)

    def _bury(self, child: Child) -> int:
        """Take leave of a child whose master ended: end what it left, pass on its last words."""
        process = child.process
        assert process is not None and process.stdout is not None
        code = process.wait()
        _signal_group(process.pid, signal.SIGKILL)  # workers of a killed master would hold its port
        end = time.monotonic() + 1
        while not process.stdout.closed and time.monotonic() < end:
            self._pump(0.05)
        if not process.stdout.closed:  # someone outside of the group still holds the pipe
            self._selector.unregister(process.stdout)
            process.stdout.close()
        child.process = None
        return code

    def _mend(self) -> None:
        """Restart what died, each time a little later unless it had run steadily."""
        now = time.monotonic()
        for child in self.children:
            if child.once:
                continue
            if child.process is not None and child.process.poll() is not None:
                if now - child.started > STEADY_SECONDS:
                    child.delay = FIRST_DELAY
                code = self._bury(child)
                self.say(f"{child.name} ended with {code}; starting it again in {child.delay:g} s")
                child.restart_at, child.delay = now + child.delay, min(child.delay * 2, LONGEST_DELAY)
            elif child.restart_at is not None and now >= child.restart_at:
                self._launch(child)

    def _stop_all(self) -> None:
        self.stopping = True
        alive = [child for child in self.children if child.process is not None]
        for child in alive:
            assert child.process is not None
            child.process.send_signal(signal.SIGTERM)  # to the master alone: it ends its workers in order
        end = time.monotonic() + STOP_SECONDS
        while (
            any(child.process and child.process.poll() is None for child in alive) and time.monotonic() < end
        ):
            self._pump(0.05)
        for child in alive:
            if child.process is not None and child.process.poll() is None:
                self.say(f"{child.name} did not stop in {STOP_SECONDS:g} s and is killed")
                _signal_group(child.process.pid, signal.SIGKILL)
            self._bury(child)
        self.children.clear()

    def _kill_all(self) -> None:
        for child in self.children:
            if child.process is not None:
                _signal_group(child.process.pid, signal.SIGKILL)


def _signal_group(leader: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left in it
        os.killpg(leader, number)


def tied(command: Sequence[str], parent: int) -> list[str]:
    """The command, asked to end when `parent` is killed, so that kill -9 of the supervisor leaves no orphans.

    Only Linux knows this wish, and it lives through exec; a function between fork and exec would do as well, but
    not safely beside threads.
    """
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-I", "-S", "-c", TIE, str(parent), *command]
