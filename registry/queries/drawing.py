"""Where the boxes and lines of a graph without circles stand: layers from left to right, few crossings. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 224, 48, 56, 20, 12
"""Of a box, and the room between two; pixels at 1:1."""
LETTERS = 24
"""So many of a title stand in a box."""
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


def shortened(text: str) -> str:
    """As much of a title as stands in a box: its beginning and its end, by which names of one family differ."""
    if len(text) <= LETTERS:
        return text
    head = LETTERS // 2 - 2
    return f"{text[:head].rstrip()}…{text[head + 1 - LETTERS :].lstrip()}"


def draw(nodes: Sequence[K], edges: Iterable[tuple[K, K]]) -> Drawing[K]:
    """Boxes and lines for `nodes`, with every edge (from, to) leading to the right. Edges to nodes that are not drawn
    are left out. ValueError for a circle."""
    known = set(nodes)
    kept = list(dict.fromkeys((a, b) for a, b in edges if a in known and b in known))
    layers: list[list[K | _Bend]] = [list(layer) for layer in _layers(nodes, kept)]
    layer_of = {key: number for number, layer in enumerate(layers) for key in layer}
    chains: dict[tuple[K, K], list[K | _Bend]] = {}
    for nth, (a, b) in enumerate(kept):
        bends = [_Bend(nth, number) for number in range(layer_of[a] + 1, layer_of[b])]
        chains[a, b] = [a, *bends, b]
        for bend in bends:
            layers[bend.layer].append(bend)
    layers = _ordered(layers, [pair for chain in chains.values() for pair in pairwise(chain)])
    heights = [sum(_height(key) for key in layer) + DOWN * (len(layer) - 1) for layer in layers]
    tallest = max(heights, default=0)
    boxes: dict[K, Box[K]] = {}
    points: dict[K | _Bend, tuple[int, int]] = {}
    for number, layer in enumerate(layers):
        x, y = MARGIN + number * (WIDTH + ACROSS), MARGIN + (tallest - heights[number]) // 2
        for key in layer:
            points[key] = x, y + _height(key) // 2
            if not isinstance(key, _Bend):
                boxes[key] = Box(key, x, y, number)
            y += _height(key) + DOWN
    lines = tuple(Line(a, b, _path([points[key] for key in chain])) for (a, b), chain in chains.items())
    return Drawing(
        boxes=tuple(boxes.values()),
        lines=lines,
        width=2 * MARGIN + max(len(layers) * (WIDTH + ACROSS) - ACROSS, 0),
        height=2 * MARGIN + tallest,
    )


@dataclass(frozen=True, slots=True)
class _Bend:
    """Where a line passes a layer in which it neither begins nor ends: between the boxes, not behind one."""

    line: int
    layer: int


def _height(key: Hashable) -> int:
    return 0 if isinstance(key, _Bend) else HEIGHT


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


def _path(points: Sequence[tuple[int, int]]) -> str:
    """From the right side of the first to the left side of the last, straight on across what lies between."""
    path, bend = "", ACROSS // 2
    for (x, y), (to_x, to_y) in pairwise(points):
        path += f"{' L' if path else 'M'}{x + WIDTH} {y} C{x + WIDTH + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}"
    return path
