"""Whose work a span was: children take job, cost centre and outcome from their trace, then from their process."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from telemetry.parsing.events import Event, Resource


class _Said(NamedTuple):
    span_id: bytes
    job: str | None
    cost_center: str | None
    outcome: str | None


def inherit(events: Sequence[Event]) -> None:
    """Fill job, cost centre and outcome of spans that do not name them.

    The nearest ancestor decides. Where no ancestor in this batch says anything, the trace does if it speaks with one
    voice (exporters send children before their root, and a parent may live in another process), then the resource.
    """
    said: dict[bytes, list[_Said]] = {}
    for event in events:
        if event.job is not None or event.cost_center is not None or event.outcome is not None:
            voice = _Said(event.span_id, event.job, event.cost_center, event.outcome)
            said.setdefault(event.trace_id, []).append(voice)
    several = {trace for trace, voices in said.items() if len(voices) > 1}
    parents = {
        (event.trace_id, event.span_id): event.parent_id for event in events if event.trace_id in several
    }
    for event in events:
        if event.job is not None and event.cost_center is not None and event.outcome is not None:
            continue
        voices = said.get(event.trace_id)
        if voices is not None and len(voices) == 1:
            _fill(event, voices[0])
        elif voices is not None:
            by_span = {voice.span_id: voice for voice in voices}
            for span_id in _ancestors(event, parents):
                if span_id in by_span:
                    _fill(event, by_span[span_id])
            _fill(event, _Said(b"", *(_only(column) for column in list(zip(*voices, strict=True))[1:])))
        if event.resource.speaks:
            _fill(event, event.resource)


def _ancestors(event: Event, parents: dict[tuple[bytes, bytes], bytes]) -> Iterator[bytes]:
    """Span ids from the parent upwards; a cycle, which only a broken sender makes, ends the walk."""
    seen = {event.span_id}
    span_id = event.parent_id
    while span_id and span_id not in seen:
        yield span_id
        seen.add(span_id)
        span_id = parents.get((event.trace_id, span_id), b"")


def _only(column: tuple[str | None, ...]) -> str | None:
    different = {value for value in column if value is not None}
    return different.pop() if len(different) == 1 else None


def _fill(event: Event, voice: _Said | Resource) -> None:
    if event.job is None:
        event.job = voice.job
    if event.cost_center is None:
        event.cost_center = voice.cost_center
    if event.outcome is None:
        event.outcome = voice.outcome
