"""Coverage is measured as long as a file of tests still runs something new: tracing doubles the time of whatever it watches.

What is left out was, as far as the last tests of that file tell, run before; so was what is marked `unwatched` or drives a
browser: long tests that show how much fits together, of code that others run line by line. The figure is a lower bound, and
the floor is held by what was seen. `ARM_COVERAGE=all` watches everything, to find what no test runs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from coverage import Coverage

UNWATCHED = ("unwatched", "browser")
NOTHING_NEW = 2
"""Tests in a row, after which the rest of their file is not watched."""


class Watched:
    """The pytest plugin around each test of this process."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage, self.on = coverage, True
        self.file, self.seen, self.idle = "", 0, 0

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        if self.file != item.nodeid.partition("::")[0]:
            self.file, self.idle = item.nodeid.partition("::")[0], 0
        self.watch(self.idle < NOTHING_NEW and not any(map(item.get_closest_marker, UNWATCHED)))
        result = yield
        if self.on:
            seen = self.known()
            self.idle = 0 if seen > self.seen else self.idle + 1
            self.seen = seen
        return result

    def watch(self, on: bool) -> None:
        if on is not self.on:
            self.on = on
            (self.coverage.start if on else self.coverage.stop)()

    def known(self) -> int:
        """How many lines and branches have been seen so far."""
        collector = self.coverage._collector
        assert collector is not None
        return sum(len(seen) for seen in collector.data.values())


@contextmanager
def unwatched() -> Iterator[None]:
    """For what is long and shows nothing: migrating."""
    coverage = Coverage.current()
    if coverage is None:
        yield
        return
    coverage.stop()
    try:
        yield
    finally:
        coverage.start()


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """After pytest-cov, which begins to measure before there is a session."""
    coverage = Coverage.current()
    if coverage is not None and os.environ.get("ARM_COVERAGE") != "all":
        session.config.pluginmanager.register(Watched(coverage), "watched")
