"""Where the boxes and lines of a graph without circles stand: layers from left to right, few crossings. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 176, 48, 64, 20, 12
"""Of a box, and the room between two; pixels at 1:1."""
SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Box(Generic[K]):
    """The upper left corner of a node's box. `layer` counts from the left."""

    key: K
    x: int
    y: int
    layer: int
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def text_x(self) -> int:
        return self.x + MARGIN

    @property
    def title_y(self) -> int:
        return self.y + 20

    @property
    def note_y(self) -> int:
        return self.y + 38


@dataclass(frozen=True, slots=True)
class Line(Generic[K]):
    """A line from a node to one right of it; `path` is what an SVG path draws."""

    start: K
    end: K
    path: str


@dataclass(frozen=True, slots=True)
class Drawing(Generic[K]):
    boxes: tuple[Box[K], ...]
    lines: tuple[Line[K], ...]
    width: int
    height: int


def draw(nodes: Sequence[K], edges: Iterable[tuple[K, K]]) -> Drawing[K]:
    """Boxes and lines for `nodes`, with every edge (from, to) leading to the right. Edges to nodes that are not drawn
    are left out. ValueError for a circle."""
    known = set(nodes)
    kept = list(dict.fromkeys((a, b) for a, b in edges if a in known and b in known))
    layers = _ordered(_layers(nodes, kept), kept)
    tallest = max((len(layer) for layer in layers), default=0)
    boxes = {}
    for number, layer in enumerate(layers):
        top = (tallest - len(layer)) * (HEIGHT + DOWN) // 2
        for place, key in enumerate(layer):
            x, y = MARGIN + number * (WIDTH + ACROSS), MARGIN + top + place * (HEIGHT + DOWN)
            boxes[key] = Box(key, x, y, number)
    lines = tuple(Line(a, b, _path(boxes[a], boxes[b])) for a, b in kept)
    return Drawing(
        boxes=tuple(boxes.values()),
        lines=lines,
        width=2 * MARGIN + max(len(layers) * (WIDTH + ACROSS) - ACROSS, 0),
        height=2 * MARGIN + max(tallest * (HEIGHT + DOWN) - DOWN, 0),
    )


def _layers(nodes: Sequence[K], edges: Sequence[tuple[K, K]]) -> list[list[K]]:
    """Each node one layer right of the rightmost that leads to it."""
    out: defaultdict[K, list[K]] = defaultdict(list)
    waits = dict.fromkeys(nodes, 0)
    for a, b in edges:
        out[a].append(b)
        waits[b] += 1
    layer = dict.fromkeys(nodes, 0)
    ready = [key for key in nodes if not waits[key]]
    for key in ready:  # grows while it is read
        for after in out[key]:
            layer[after] = max(layer[after], layer[key] + 1)
            waits[after] -= 1
            if not waits[after]:
                ready.append(after)
    if len(ready) < len(waits):
        raise ValueError("The graph has a circle.")
    found: defaultdict[int, list[K]] = defaultdict(list)
    for key in nodes:
        found[layer[key]].append(key)
    return [found[number] for number in range(len(found))]


def _ordered(layers: list[list[K]], edges: Sequence[tuple[K, K]]) -> list[list[K]]:
    """Each layer sorted by where its neighbours stand, back and forth: few lines cross."""
    before: defaultdict[K, list[K]] = defaultdict(list)
    after: defaultdict[K, list[K]] = defaultdict(list)
    for a, b in edges:
        before[b].append(a)
        after[a].append(b)
    for turn in range(SWEEPS):
        near, order = (before, layers) if turn % 2 == 0 else (after, layers[::-1])
        place = {key: float(n) for layer in layers for n, key in enumerate(layer)}
        for layer in order:
            layer.sort(key=lambda key: _middle(near[key], place))
            place.update({key: float(n) for n, key in enumerate(layer)})
    return layers


def _middle(neighbours: Sequence[K], place: Mapping[K, float]) -> float:
    return sum(place[key] for key in neighbours) / len(neighbours) if neighbours else 0.0


def _path(start: Box[K], end: Box[K]) -> str:
    x, y = start.x + WIDTH, start.y + HEIGHT // 2
    to_x, to_y = end.x, end.y + HEIGHT // 2
    bend = (to_x - x) // 2
    return f"M{x} {y} C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"
