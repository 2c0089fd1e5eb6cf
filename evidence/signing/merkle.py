"""The Merkle tree of RFC 6962 (RFC 9162, section 2.1): append, roots, proofs, and how a stranger checks them.

A tree of n leaves is kept as its complete subtrees. `(level, index)` names the subtree over the leaves
`index * 2**level` up to `(index + 1) * 2**level`; level 0 are the leaves' own hashes. What is not complete (the right
edge) is folded from complete ones whenever it is asked for, so nothing that is stored ever changes.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Place = tuple[int, int]
"""Level and index of a complete subtree."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that grows, of which only the right edge is held: its root, and every subtree that becomes complete."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """`edge`: hashes of the complete subtrees that a tree of this size consists of, the largest first."""
        if len(edge) != size.bit_count():
            raise ValueError(
                f"A tree of {size} leaves has {size.bit_count()} complete parts, not {len(edge)}."
            )
        self.size = size
        self._edge = list(edge)

    @property
    def edge(self) -> tuple[bytes, ...]:
        return tuple(self._edge)

    @property
    def root(self) -> bytes:
        return fold(self._edge)

    def append(self, leaf: bytes) -> list[tuple[Place, bytes]]:
        """Append the hash of a leaf. Returns the subtrees above it that it makes complete, lowest first."""
        made: list[tuple[Place, bytes]] = []
        edge, hashed, index, level = self._edge, leaf, self.size, 0
        while index & 1:
            hashed = hashlib.sha256(b"\x01" + edge.pop() + hashed).digest()
            index >>= 1
            level += 1
            made.append(((level, index), hashed))
        edge.append(hashed)
        self.size += 1
        return made


def fold(parts: Sequence[bytes]) -> bytes:
    """The hash over adjacent complete subtrees of falling size."""
    if not parts:
        return EMPTY_ROOT
    hashed = parts[-1]
    for part in reversed(parts[:-1]):
        hashed = node_hash(part, hashed)
    return hashed


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over these leaf hashes."""
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root


# --- proofs ------------------------------------------------------------------------------------------------------


def inclusion(index: int, size: int) -> list[list[Place]]:
    """What proves that leaf `index` is in a tree of `size`: of each hash, lowest first, the subtrees that it folds."""
    if not 0 <= index < size:
        raise ValueError(f"A tree of {size} leaves has no leaf {index}.")
    return [_parts(start, end) for start, end in _path(index, 0, size)]


def consistency(old: int, new: int) -> list[list[Place]]:
    """What proves that a tree of `new` leaves begins with the tree of `old`, in the same form."""
    if not 0 < old <= new:
        raise ValueError(f"There is nothing to prove between {old} and {new} leaves.")
    return [_parts(start, end) for start, end in _subproof(old, 0, new, whole=True)]


def proof(ranges: Sequence[Sequence[Place]], hash_of: Callable[[Place], bytes]) -> list[bytes]:
    """The hashes of a proof whose parts `hash_of` knows."""
    return [fold([hash_of(place) for place in some]) for some in ranges]


def _path(index: int, start: int, end: int) -> list[tuple[int, int]]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(index, start, middle), (middle, end)]
    return [*_path(index, middle, end), (start, middle)]


def _subproof(old: int, start: int, end: int, *, whole: bool) -> list[tuple[int, int]]:
    if old == end:
        return [] if whole else [(start, end)]
    middle = start + _split(end - start)
    if old <= middle:
        return [*_subproof(old, start, middle, whole=whole), (middle, end)]
    return [*_subproof(old, middle, end, whole=False), (start, middle)]


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def _parts(start: int, end: int) -> list[Place]:
    """The complete subtrees that cover leaves start … end; `start` is a multiple of the largest."""
    parts = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append((level, start >> level))
        start += 1 << level
    return parts


# --- what a verifier does ------------------------------------------------------------------------------------------


def includes(*, root: bytes, size: int, index: int, leaf: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the leaf with this hash stands at `index` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, hashed = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            hashed = node_hash(step, hashed)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hashed = node_hash(hashed, step)
        at, last = at >> 1, last >> 1
    return last == 0 and hashed == root


def continues(*, old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether `path` proves that the tree of `new` leaves begins with that of `old` (RFC 9162, 2.1.4.2)."""
    if old == new:
        return not path and old_root == new_root
    if not 0 < old < new or not path:
        return False
    steps = [old_root, *path] if old & (old - 1) == 0 else list(path)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, step)
        at, last = at >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
