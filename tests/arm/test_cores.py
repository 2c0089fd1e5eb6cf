"""Gateway processes of one installation spread over the processors that they may use."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from arm.ids import uuid7

PROCESSORS = sorted(os.sched_getaffinity(0))
CHILD = """
import os, sys, threading
from arm import cores
cores.keep_to_one(sys.argv[1])
found = []
thread = threading.Thread(target=lambda: found.append(os.sched_getaffinity(0)))
thread.start()
thread.join()
print(*sorted(found[0]), flush=True)
sys.stdin.read()
"""


@contextmanager
def process(group: str) -> Iterator[list[int]]:
    """A process of the group that lives until the block ends; gives the processors that its threads may use."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, group], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        assert child.stdout is not None
        try:
            yield [int(number) for number in child.stdout.readline().split()]
        finally:
            child.kill()


def expected(count: int) -> int:
    """How many different processors `count` processes of one group use here."""
    return min(count, len(PROCESSORS))


def test_processes_of_one_group_use_different_processors_as_long_as_there_are_enough() -> None:
    group = uuid7().hex
    with process(group) as first, process(group) as second, process(group) as third:
        used = {*first, *second, *third}
        assert [len(one) for one in (first, second, third)] == [1, 1, 1] if len(PROCESSORS) > 1 else True
    assert used <= set(PROCESSORS)
    assert len(used) == expected(3)


def test_the_processor_of_a_killed_process_is_taken_by_the_next() -> None:
    group = uuid7().hex
    with process(group) as first:
        with process(group) as second:
            pass
        with process(group) as third:
            assert third == second
            assert len({*first, *third}) == expected(2)


def test_with_one_processor_nothing_is_bound() -> None:
    """The child may use one processor only, so there is nothing to choose."""
    code = "import os; from arm import cores; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(cores.keep_to_one('x'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None"
