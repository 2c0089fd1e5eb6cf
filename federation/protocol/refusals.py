"""Refusals of the protocol, each with its code. What is `recorded` goes to the tenant's security log as well."""

from arm.errors import DomainError


class Refused(DomainError):
    """A refusal with a code and a status of its own; `recorded`: somebody claimed what they could not prove."""

    def __init__(
        self,
        code: str,
        status: int,
        message: str,
        *,
        recorded: bool = False,
        error: str = "",
        **extra: object,
    ) -> None:
        super().__init__(
            message, **extra, **({"error": error, "error_description": message} if error else {})
        )
        self.code, self.status, self.recorded = code, status, recorded


def stale_session(message: str) -> Refused:
    """409: another handshake has been made since, or this session was closed."""
    return Refused("stale-session", 409, message, retryable=False)


def client_revoked() -> Refused:
    """401: who was registered a moment ago is so no more."""
    return Refused("client-revoked", 401, "This client speaks for its provider no more.", recorded=True)


def bad_assertion(code: str, message: str) -> Refused:
    """401 `invalid_client` of RFC 6749; the code says which check failed."""
    return Refused(code, 401, message, recorded=True, error="invalid_client")
