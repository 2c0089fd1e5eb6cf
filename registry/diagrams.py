"""Where the boxes and arrows of a state diagram lie: states in one column, arrows beside it. Pure geometry.

Two states that follow each other are joined straight; other moves run in lanes of their own, to the right of the column
those that lead one way, to the left those that also lead back. Lanes nest: who spans less lies nearer to the column.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 124
HEIGHT: Final = 34
GAP: Final = 30
LANE: Final = 15
EDGE: Final = 14
HEAD: Final = 5
"""Units of the picture: boxes, the gap between them, between lanes, at the margins, and half an arrow's head."""


@dataclass(frozen=True, slots=True)
class Box:
    """A state. `phase`: `now`, `next` (a move leads there from now), `past` or `other`."""

    state: str
    label: str
    phase: str
    x: int
    y: int

    @property
    def middle(self) -> int:
        return self.x + WIDTH // 2

    @property
    def baseline(self) -> int:
        return self.y + HEIGHT // 2 + 5


@dataclass(frozen=True, slots=True)
class Arrow:
    """One move, or two that lead there and back: `path` is the line, `heads` are triangles (SVG points)."""

    start: str
    end: str
    both: bool
    open: bool
    path: str
    heads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagram:
    width: int
    height: int
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    words: tuple[tuple[str, str, bool], ...]
    """(state, where it may go in words, whether it is the present one), for who reads rather than looks."""

    @property
    def box_width(self) -> int:
        return WIDTH

    @property
    def box_height(self) -> int:
        return HEIGHT


def layout(
    states: Sequence[tuple[str, str]],
    moves: Mapping[str, Iterable[str]],
    now: str,
    past: Iterable[str] = (),
) -> Diagram:
    """The diagram of these states (value, label) in their order, seen from the state `now`."""
    order = {state: place for place, (state, _) in enumerate(states)}
    labels = dict(states)
    leads = {state: {to for to in moves.get(state, ()) if to in order} for state in order}
    pairs = sorted(
        {
            (min(a, b, key=order.__getitem__), max(a, b, key=order.__getitem__))
            for a in leads
            for b in leads[a]
        },
        key=lambda pair: (order[pair[1]] - order[pair[0]], order[pair[0]]),
    )
    far = [pair for pair in pairs if order[pair[1]] - order[pair[0]] > 1]
    left = [pair for pair in far if pair[1] in leads[pair[0]] and pair[0] in leads[pair[1]]]
    right = [pair for pair in far if pair not in left]
    lanes = {**_lanes(left, order), **_lanes(right, order)}
    depth = {
        side: max((lanes[pair] for pair in rows), default=0) for side, rows in (("l", left), ("r", right))
    }
    x = EDGE + depth["l"] * LANE
    boxes = {
        state: Box(state, labels[state], _phase(state, now, leads[now], past), x, 4 + place * (HEIGHT + GAP))
        for state, place in order.items()
    }
    ports = {"l": _ports(left, order), "r": _ports(right, order)}
    arrows = []
    for pair in pairs:
        there, back = pair[1] in leads[pair[0]], pair[0] in leads[pair[1]]
        opens = (there and pair[0] == now) or (back and pair[1] == now)
        if pair not in lanes:
            path, heads = _straight(boxes[pair[0]], boxes[pair[1]], there, back)
        else:
            side = "l" if pair in left else "r"
            top, bottom = ports[side][pair]
            path, heads = _beside(
                side, x, lanes[pair], boxes[pair[0]].y + top, boxes[pair[1]].y + bottom, there, back
            )
        arrows.append(Arrow(*pair, both=there and back, open=opens, path=path, heads=heads))
    words = tuple(
        (
            label,
            ", ".join(labels[to] for to in order if to in leads[state]) or "nowhere: it is final",
            state == now,
        )
        for state, label in states
    )
    width = x + WIDTH + depth["r"] * LANE + EDGE
    height = 8 + len(states) * (HEIGHT + GAP) - GAP
    # What leads away from here is drawn last, over what does not.
    return Diagram(
        width, height, tuple(boxes.values()), tuple(sorted(arrows, key=lambda one: one.open)), words
    )


def _phase(state: str, now: str, nexts: set[str], past: Iterable[str]) -> str:
    if state == now:
        return "now"
    if state in nexts:
        return "next"
    return "past" if state in set(past) else "other"


Pair = tuple[str, str]


def _lanes(pairs: Sequence[Pair], order: Mapping[str, int]) -> dict[Pair, int]:
    """The nearest lane to the column in which no other pair lies beside this one."""
    found: dict[Pair, int] = {}
    for pair in pairs:  # shorter ones come first
        taken = {
            lane
            for other, lane in found.items()
            if order[other[0]] < order[pair[1]] and order[pair[0]] < order[other[1]]
        }
        found[pair] = next(lane for lane in range(1, len(pairs) + 1) if lane not in taken)
    return found


def _ports(pairs: Sequence[Pair], order: Mapping[str, int]) -> dict[Pair, tuple[int, int]]:
    """How far down a box's side each line meets it, so that no two meet it in one point or cross there."""
    found: dict[Pair, list[int]] = {pair: [0, 0] for pair in pairs}
    for state in order:
        here = [(pair, 0 if pair[0] == state else 1) for pair in pairs if state in pair]
        # Those that come from above meet the upper part, the farthest lowest of them; those that go down the lower part.
        here.sort(key=lambda row: (-row[1], _span(row[0], order) * (1 if row[1] else -1)))
        for place, (pair, end) in enumerate(here, 1):
            found[pair][end] = round(HEIGHT * place / (len(here) + 1))
    return {pair: (ends[0], ends[1]) for pair, ends in found.items()}


def _span(pair: Pair, order: Mapping[str, int]) -> int:
    return order[pair[1]] - order[pair[0]]


def _straight(upper: Box, lower: Box, there: bool, back: bool) -> tuple[str, tuple[str, ...]]:
    x, top, bottom = upper.middle, upper.y + HEIGHT, lower.y
    heads = []
    if there:
        heads.append(f"{x},{bottom} {x - HEAD},{bottom - 2 * HEAD} {x + HEAD},{bottom - 2 * HEAD}")
    if back:
        heads.append(f"{x},{top} {x - HEAD},{top + 2 * HEAD} {x + HEAD},{top + 2 * HEAD}")
    return f"M{x} {top}V{bottom}", tuple(heads)


def _beside(
    side: str, x: int, lane: int, top: int, bottom: int, there: bool, back: bool
) -> tuple[str, tuple[str, ...]]:
    way = 1 if side == "r" else -1
    wall = x + WIDTH if side == "r" else x
    out = wall + way * lane * LANE
    bend = way * HEAD
    path = (
        f"M{wall} {top}H{out - bend}Q{out} {top} {out} {top + HEAD}"
        f"V{bottom - HEAD}Q{out} {bottom} {out - bend} {bottom}H{wall}"
    )
    heads = [
        f"{wall},{y} {wall + way * 2 * HEAD},{y - HEAD} {wall + way * 2 * HEAD},{y + HEAD}"
        for y, leads in ((bottom, there), (top, back))
        if leads
    ]
    return path, tuple(heads)
