"""What encoded attributes meant, remembered by their bytes: most of a program's attributes are the same again and again."""

from collections.abc import Callable
from typing import Final

from telemetry.parsing.admission import Admitted

LONGEST: Final = 128
"""Bytes of an attribute that is worth remembering."""
REMEMBERED: Final = 32_768

Read = Callable[[bytes], tuple[Admitted, bool]]
"""An encoded attribute → what it means, and whether that is worth remembering."""


class Memory(dict[bytes, Admitted]):
    """Encoded attribute → (name, value), read on first sight.

    Two generations: when this one is full it becomes the old one, and what is still in use comes back from there one by
    one. A stream of values that never repeat so costs a pass now and then and not all that was known.
    """

    def __init__(self, read: Read) -> None:
        super().__init__()
        self._read = read
        self._old: dict[bytes, Admitted] = {}

    def __missing__(self, data: bytes) -> Admitted:
        found = self._old.get(data)
        if found is None:
            found, repeats = self._read(data)
            if not repeats or len(data) > LONGEST:
                return found
        if len(self) >= REMEMBERED:
            self._old = dict(self)
            self.clear()
        self[data] = found
        return found
