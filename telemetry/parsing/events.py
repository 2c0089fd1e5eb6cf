"""The flat event, the same whatever dialect and encoding it came in. What many spans share is one object for all of them.

An event refers to its shared parts, so that what follows from a part (its flags, its columns, its price) is worked out
once for a batch and not once for a span.
"""

from operator import attrgetter
from typing import Final
from uuid import UUID

import msgspec

MAPPER_VERSION: Final = 1
"""Written on each row; raise it when the same span would give another row."""


class Work(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """Whose work a span is: shared by the spans of a job."""

    job: str | None = None
    cost_center: str | None = None
    outcome: str | None = None

    @property
    def attributed(self) -> bool:
        return self.job is not None or self.outcome is not None


SILENT: Final = Work()
"""Nothing is said about whose work it is."""


class Resource(msgspec.Struct, gc=False):
    """What every span of one process shares. Identifiers are 16 bytes, b"" when given but none of ours."""

    instance: bytes | None
    version: bytes | None
    environment: str | None
    work: Work
    aliases: tuple[str, ...]
    """`name=value` of attributes that may name the instance, if the provider declared that alias."""


class Place(msgspec.Struct, gc=False, eq=False):
    """Where events belong, with the fields of their rows already encoded. One object per instance and version."""

    tenant_id: UUID
    provider_id: UUID
    environment_id: UUID
    template_id: UUID
    version_id: UUID
    instance_id: UUID
    role_id: UUID | None
    columns: bytes
    """tenant, provider, environment, template, version, instance: see `packing.place`."""
    role: bytes


class Meaning(msgspec.Struct, frozen=True, gc=False, cache_hash=True):
    """What spans that are alike say of themselves: the same object, or an equal one, for thousands of them."""

    type: int
    status: int
    instance: bytes | None
    """Named by the span itself; None: by its resource, if at all."""
    version: bytes | None
    generation: int | None
    provider: str | None
    model_requested: str | None
    model_used: str | None
    finish_reasons: str | None
    tool_name: str | None
    tool_digest: str | None
    error_type: str | None
    currency: str | None


Tokens = tuple[int | None, int | None, int | None, int | None, int | None]
"""Input, cache read, cache write, output, reasoning; None was not reported."""
NO_TOKENS: Final[Tokens] = (None, None, None, None, None)


class Belonging(msgspec.Struct, gc=False, eq=False):
    """Where linked events go and what was noticed, for those of one meaning: one object for all of them in a batch."""

    meaning: Meaning
    place: Place
    flags: int


class Event(msgspec.Struct, gc=False):
    """One normalised event. Times are microseconds since 1970 (UTC); what was not reported is None."""

    event_id: bytes
    occurred_us: int
    duration_ms: int | None
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    resource: Resource
    meaning: Meaning
    work: Work
    conversation: str | None
    tokens: Tokens
    ttft_ms: int | None
    cost_picos: int | None
    content_digest: bytes | None
    attributes: bytes
    belonging: Belonging | None = None
    """Set when the event is linked."""

    type = property(attrgetter("meaning.type"))
    status = property(attrgetter("meaning.status"))
    generation = property(attrgetter("meaning.generation"))
    provider = property(attrgetter("meaning.provider"))
    model_requested = property(attrgetter("meaning.model_requested"))
    model_used = property(attrgetter("meaning.model_used"))
    finish_reasons = property(attrgetter("meaning.finish_reasons"))
    tool_name = property(attrgetter("meaning.tool_name"))
    tool_digest = property(attrgetter("meaning.tool_digest"))
    error_type = property(attrgetter("meaning.error_type"))
    currency = property(attrgetter("meaning.currency"))
    job = property(attrgetter("work.job"))
    cost_center = property(attrgetter("work.cost_center"))
    outcome = property(attrgetter("work.outcome"))

    @property
    def input_tokens(self) -> int | None:
        return self.tokens[0]

    @property
    def cache_read_tokens(self) -> int | None:
        return self.tokens[1]

    @property
    def cache_write_tokens(self) -> int | None:
        return self.tokens[2]

    @property
    def output_tokens(self) -> int | None:
        return self.tokens[3]

    @property
    def reasoning_tokens(self) -> int | None:
        return self.tokens[4]

    @property
    def instance(self) -> bytes | None:
        """As the span itself names it, else its resource."""
        own = self.meaning.instance
        return self.resource.instance if own is None else own

    @property
    def version(self) -> bytes | None:
        own = self.meaning.version
        return self.resource.version if own is None else own
