"""Reading a policy document: every wrong member is found at once, each with its JSON pointer."""

from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

E = TypeVar("E", bound=StrEnum)


class Problem(NamedTuple):
    """One wrong member: where (RFC 6901), which rule, one sentence."""

    pointer: str
    code: str
    message: str


class ContentInvalid(ValueError):
    """The document cannot be compiled; `problems` names everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.pointer or '/'}: {problem.message}" for problem in problems))
        self.problems = problems


class Reader:
    """Reads members of one object by type, notes what is wrong, and goes on with a harmless value."""

    def __init__(self, value: object, pointer: str, problems: list[Problem], allowed: Iterable[str]) -> None:
        self.pointer = pointer
        self.problems = problems
        self.value: dict[str, Any] = {}
        if isinstance(value, dict):
            self.value = value
        else:
            self.refuse("", "type", "This must be an object.")
        names = frozenset(allowed)
        for name in self.value:
            if name == "conditions" and name not in names:
                self.refuse(name, "unsupported", "Conditions are not supported yet.")
            elif name not in names:
                self.refuse(
                    name, "unknown_member", f"“{name}” is not known here; known: {', '.join(sorted(names))}."
                )

    def refuse(self, name: str, code: str, message: str) -> None:
        self.problems.append(Problem(self.at(name), code, message))

    def at(self, name: str) -> str:
        return f"{self.pointer}/{name.replace('~', '~0').replace('/', '~1')}" if name else self.pointer

    def has(self, name: str) -> bool:
        return self.value.get(name) is not None

    def required(self, *names: str) -> None:
        for name in names:
            if not self.has(name):
                self.refuse(name, "required", f"“{name}” is required.")

    def text(self, name: str, *, longest: int = 200) -> str:
        value = self.value.get(name)
        if value is None:
            return ""
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            self.refuse(name, "text", f"This must be a text of 1 to {longest} characters.")
            return ""
        return value

    def whole(self, name: str, *, least: int, most: int) -> int | None:
        value = self.value.get(name)
        if value is None:
            return None
        if type(value) is not int or not least <= value <= most:
            self.refuse(name, "number", f"This must be a whole number from {least} to {most}.")
            return None
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.value.get(name, default)
        if type(value) is not bool:
            self.refuse(name, "boolean", "This must be true or false.")
            return default
        return value

    def one_of(self, name: str, kind: type[E]) -> E | None:
        value = self.value.get(name)
        if value is None:
            return None
        try:
            return kind(value)
        except ValueError:
            self.refuse(name, "choice", f"This must be one of {', '.join(kind)}.")
            return None

    def amount(self, name: str) -> Decimal | None:
        """Money as a decimal string, counts as whole numbers; never a float, whose digits are not what was typed."""
        value = self.value.get(name)
        if value is None:
            return None
        try:
            if isinstance(value, bool | float):
                raise InvalidOperation
            amount = Decimal(value)
            if not amount.is_finite() or amount < 0 or amount > 10**15:
                raise InvalidOperation
        except (InvalidOperation, TypeError, ValueError):
            self.refuse(
                name, "amount", "This must be zero or more: a whole number, or a decimal as text (“12.50”)."
            )
            return None
        return amount

    def each(self, name: str, read: Callable[[object, str], None], *, most: int = 500) -> None:
        value = self.value.get(name)
        if value is None:
            return
        if not isinstance(value, list):
            self.refuse(name, "type", "This must be a list.")
        elif len(value) > most:
            self.refuse(name, "too_many", f"At most {most} entries are possible here.")
        else:
            for number, item in enumerate(value):
                read(item, f"{self.at(name)}/{number}")

    def texts(self, name: str, *, least: int = 0, most: int = 100) -> list[str]:
        value = self.value.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not least <= len(value) <= most:
            self.refuse(name, "type", f"This must be a list of {least} to {most} texts.")
            return []
        for number, item in enumerate(value):
            if not isinstance(item, str) or not item or len(item) > 500:
                self.problems.append(
                    Problem(
                        f"{self.at(name)}/{number}", "text", "This must be a text of 1 to 500 characters."
                    )
                )
        return [item for item in value if isinstance(item, str)]
