"""One root for every refusal a caller may read; anything else that escapes is a bug and becomes a 500."""

from collections.abc import Sequence
from typing import TypedDict


class Problem(TypedDict):
    """One wrong member of a request: where (RFC 6901 pointer), which rule, one sentence."""

    pointer: str
    code: str
    message: str


class DomainError(Exception):
    """A refusal with its answer: `code` for machines, the message for people, `status` for HTTP."""

    code = "invalid"
    status = 400

    def __init__(self, message: str, **extra: object) -> None:
        super().__init__(message)
        self.message = message
        self.extra = extra


class Invalid(DomainError):
    """Understood, but wrong: every wrong member is named at once in `errors`."""

    code = "invalid"
    status = 422

    def __init__(self, message: str, errors: Sequence[Problem] = (), **extra: object) -> None:
        super().__init__(message, errors=list(errors), **extra)
        self.errors = list(errors)


class Unauthenticated(DomainError):
    code = "unauthenticated"
    status = 401


class NotAllowed(DomainError):
    code = "not_allowed"
    status = 403


class NotFound(DomainError):
    code = "not_found"
    status = 404


class Conflict(DomainError):
    """The request is well formed, but not in this state."""

    code = "conflict"
    status = 409


class TooLarge(DomainError):
    """More than is read here; the pointer of its one problem is the whole of what was sent."""

    code = "too_large"
    status = 413

    def __init__(self, message: str, **extra: object) -> None:
        problem = Problem(pointer="", code=self.code, message=message)
        super().__init__(message, **{"errors": [problem], **extra})


class Unavailable(DomainError):
    """Nothing was decided or stored; ask again after `retry_after` seconds."""

    code = "unavailable"
    status = 503

    def __init__(self, message: str, *, retry_after: int = 1, **extra: object) -> None:
        super().__init__(message, retry_after=retry_after, **extra)
        self.retry_after = retry_after
