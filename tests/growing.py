"""How what something costs grows with its input: the machine's pace, and who else works on it, cancel out."""

import time
from collections.abc import Callable

BOUNDED = 40
"""What is linear costs ten times as much for ten times the input, what is quadratic a hundred times: this tells them apart."""
LEAST = 0.02
"""Seconds below which nothing is measured."""


def growth(act: Callable[[int], object], size: int) -> float:
    """How many times longer `act(size)` takes than `act(size // 10)`, in processor time of this thread."""
    small = spent(lambda: act(size // 10))
    return spent(lambda: act(size)) / max(small, LEAST)


def spent(act: Callable[[], object]) -> float:
    """Seconds of this thread's processor time."""
    began = time.thread_time()
    act()
    return time.thread_time() - began
