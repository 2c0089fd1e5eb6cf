"""Somebody else's document, read member by member: every wrong one is named, none is guessed at. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from arm.errors import Problem
from registry.genome.kinds import Json
from registry.genome.reading import pointer

MAX_LIST = 256


@dataclass
class Members:
    """What a document says, member by member; whatever is of the wrong kind becomes a line of `problems`."""

    document: dict[str, Json]
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, path: tuple[str | int, ...], message: str, code: str = "type") -> None:
        self.problems.append(Problem(pointer=pointer(path), code=code, message=message))

    def text(
        self,
        within: dict[str, Json],
        name: str,
        at: tuple[str | int, ...] = (),
        *,
        required: bool = False,
        most: int = 2048,
    ) -> str:
        value = within.get(name)
        if value is None or value == "":
            if required:
                self.wrong((*at, name), f"“{name}” is required here.", "required")
            return ""
        if not isinstance(value, str):
            self.wrong((*at, name), "Must be a string.")
        elif len(value) > most:
            self.wrong((*at, name), f"Must have at most {most:,} characters.", "maxLength")
        else:
            return value
        return ""

    def texts(self, within: dict[str, Json], name: str, at: tuple[str | int, ...] = ()) -> list[str]:
        found = []
        for path, text in self._items(within, name, at, str, "a string"):
            if len(text) > 128:
                self.wrong(path, "Must have at most 128 characters.", "maxLength")
            elif text and text not in found:
                found.append(text)
        return found

    def objects(
        self, within: dict[str, Json], name: str, at: tuple[str | int, ...] = (), most: int = MAX_LIST
    ) -> list[tuple[tuple[str | int, ...], dict[str, Json]]]:
        return list(self._items(within, name, at, dict, "an object", most))

    def _items(
        self,
        within: dict[str, Json],
        name: str,
        at: tuple[str | int, ...],
        kind: type,
        called: str,
        most: int = MAX_LIST,
    ) -> Iterator[tuple[tuple[str | int, ...], Any]]:
        value = within.get(name)
        if value is None:
            return
        if not isinstance(value, list):
            self.wrong((*at, name), "Must be a list.")
        elif len(value) > most:
            self.wrong((*at, name), f"Must have at most {most:,} items.", "maxItems")
        else:
            for index, item in enumerate(value):
                if isinstance(item, kind):
                    yield (*at, name, index), item
                else:
                    self.wrong((*at, name, index), f"Must be {called}.")

    def mapping(
        self, name: str, within: dict[str, Json] | None = None, at: tuple[str | int, ...] = ()
    ) -> dict[str, Json]:
        value = (self.document if within is None else within).get(name)
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.wrong((*at, name), "Must be an object.")
        return {}
