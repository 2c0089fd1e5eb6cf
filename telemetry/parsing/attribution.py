"""Whose work a span was: children take job, cost centre and outcome from their trace, then from their process."""

from collections.abc import Iterator, Sequence

from telemetry.parsing.blocks import Block
from telemetry.parsing.events import SILENT, Event, Work

Voice = tuple[bytes, Work]
"""A span's id and what it says itself."""


class Entangled(Exception):
    """The spans of a trace disagree about whose work they are: who descends from whom has to be looked at."""


def inherit(events: Sequence[Event], blocks: Sequence[Block] = ()) -> None:
    """Fill job, cost centre and outcome of spans that do not name them.

    The nearest ancestor decides. Where no ancestor in this batch says anything, the trace does if it speaks with one
    voice (exporters send children before their root, and a parent may live in another process), then the resource.
    """
    said: dict[bytes, list[Voice]] = {}
    for event in events:
        if event.work is not SILENT:
            said.setdefault(event.trace_id, []).append((event.span_id, event.work))
    if blocks:
        _in_columns(blocks, said)
    several = {trace for trace, voices in said.items() if len(voices) > 1}
    parents = {
        (event.trace_id, event.span_id): event.parent_id for event in events if event.trace_id in several
    }
    voices_of = said.get
    for event in events:
        voices = voices_of(event.trace_id)
        if voices is not None:
            if len(voices) > 1:
                _among(event, voices, parents)
            elif event.work is SILENT:
                event.work = voices[0][1]
            else:
                event.work = _filled(event.work, voices[0][1])
        if event.resource.work is not SILENT:
            event.work = _filled(event.work, event.resource.work)


def _in_columns(blocks: Sequence[Block], said: dict[bytes, list[Voice]]) -> None:
    """The same for blocks, whose voices join those of the events. Entangled when a trace speaks with several."""
    for block in blocks:
        if block.works[0] is not SILENT:  # then none of them is
            for trace_id, work in zip(block.traces, block.works, strict=True):
                said.setdefault(trace_id, []).append(
                    (b"", work)
                )  # whose voice it is makes no difference below
    works: dict[bytes, Work] = {}
    for trace_id, voices in said.items():
        work = works[trace_id] = voices[0][1]
        if len(voices) > 1 and any(other != work for _, other in voices):
            raise Entangled
    for block in blocks:
        block.works = [works.get(trace_id, SILENT) for trace_id in block.traces]
        shared = block.resource.work
        if shared is not SILENT:
            made = {work: _filled(work, shared) for work in set(block.works)}
            block.works = [made[work] for work in block.works]


def _among(event: Event, voices: list[Voice], parents: dict[tuple[bytes, bytes], bytes]) -> None:
    """Ask the ancestors, from the nearest upwards, and then all of the trace."""
    by_span = dict(voices)
    for span_id in _ancestors(event, parents):
        if span_id in by_span:
            event.work = _filled(event.work, by_span[span_id])
    works = [work for _, work in voices]
    everyone = Work(
        _only([work.job for work in works]),
        _only([work.cost_center for work in works]),
        _only([work.outcome for work in works]),
    )
    event.work = _filled(event.work, everyone)


def _ancestors(event: Event, parents: dict[tuple[bytes, bytes], bytes]) -> Iterator[bytes]:
    """Span ids from the parent upwards; a cycle, which only a broken sender makes, ends the walk."""
    seen = {event.span_id}
    span_id = event.parent_id
    while span_id and span_id not in seen:
        yield span_id
        seen.add(span_id)
        span_id = parents.get((event.trace_id, span_id), b"")


def _only(column: list[str | None]) -> str | None:
    different = {value for value in column if value is not None}
    return different.pop() if len(different) == 1 else None


def _filled(work: Work, voice: Work) -> Work:
    """What is said here, and by the voice what is not said here."""
    if work is voice or voice is SILENT:
        return work
    if work is SILENT:
        return voice
    return Work(
        voice.job if work.job is None else work.job,
        voice.cost_center if work.cost_center is None else work.cost_center,
        voice.outcome if work.outcome is None else work.outcome,
    )
