"""A deadline for code that takes its work from strangers: also a library's loop that never comes back to us ends."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class OutOfTime(Exception):
    """It took longer than it may."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """OutOfTime is raised in the middle of whatever Python code is still going on here after this long.

    Asked at every call and return of this thread (sys.setprofile): no signal, which a worker uses for itself, and no
    thread that would go on. One call into C is not cut short; what it is given has to be bounded otherwise.
    """
    until = time.monotonic() + seconds

    def look(frame: FrameType | None, event: str, arg: Any) -> None:
        if time.monotonic() > until:
            raise OutOfTime

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
    look(None, "", None)  # somebody may have caught what was raised
