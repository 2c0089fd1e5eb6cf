"""What a provider implements: which instances there are, how one is brought into a state, and how the runtime is."""

from dataclasses import dataclass
from typing import Any, Protocol


class CannotApply(Exception):
    """The runtime will never be able to do this; `code` is for machines. Any other exception is tried again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Instance:
    """One running agent as the runtime sees it now.

    `external_id` is the runtime's own name, `id` ARM's (`ins_…`, empty while ARM does not know it), `state` one of
    Active, Draining, Paused, ReadOnly, Quarantined, Retired, Provisioning, Unknown.
    """

    external_id: str
    id: str
    version_id: str
    state: str


class Runtime(Protocol):
    def instances(self) -> list[Instance]:
        """Everything that runs, as it is at this moment, whatever anybody wanted it to be."""
        ...

    def apply(self, instance: Instance, desired: dict[str, Any]) -> None:
        """Bring the instance into `desired["run_state"]`, as far as `desired["allow"]` lets it work, and return when it
        is so. Asked again for a state that holds already, it does nothing."""
        ...

    def health(self) -> tuple[str, str]:
        """`ok`, `degraded` or `failing`, and a sentence."""
        ...
