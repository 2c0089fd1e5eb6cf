"""The tree is RFC 6962's, whatever its size; a proof of anything else proves nothing."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.signing import merkle


def plain_root(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962 defines it, word by word, over the leaves' data."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + plain_root(leaves[:half]) + plain_root(leaves[half:])).digest()


def grown(count: int) -> tuple[merkle.Tree, dict[merkle.Place, bytes], list[bytes]]:
    """A tree over `count` leaves, every complete subtree of it, and the leaves' data."""
    tree, known = merkle.Tree(), {}
    data = [f"leaf {n}".encode() for n in range(count)]
    for n, one in enumerate(data):
        hashed = merkle.leaf_hash(one)
        known[0, n] = hashed
        known.update(dict(tree.append(hashed)))
    return tree, known, data


def test_the_roots_are_those_that_certificate_transparency_publishes() -> None:
    """The eight leaves of the reference tests of Certificate Transparency, and the root over them."""
    leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    tree = merkle.Tree()
    for leaf in leaves:
        tree.append(merkle.leaf_hash(bytes.fromhex(leaf)))
    assert tree.root.hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13, 64, 65, 100])
def test_the_root_is_the_one_of_the_definition(count: int) -> None:
    tree, _, data = grown(count)
    assert tree.root == plain_root(data) == merkle.root_of(map(merkle.leaf_hash, data))


def test_a_tree_goes_on_from_its_right_edge() -> None:
    tree, _, data = grown(21)
    again = merkle.Tree(21, tree.edge)
    again.append(merkle.leaf_hash(b"one more"))
    assert again.root == plain_root([*data, b"one more"])


def test_an_edge_of_another_size_is_refused() -> None:
    tree, _, _ = grown(21)
    with pytest.raises(ValueError, match="A tree of 22 leaves"):
        merkle.Tree(22, tree.edge[:2])


@given(st.integers(1, 90).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))))
def test_every_leaf_is_proved_in_every_tree(where: tuple[int, int]) -> None:
    index, size = where
    tree, known, data = grown(size)
    path = merkle.proof(merkle.inclusion(index, size), known.__getitem__)
    leaf = merkle.leaf_hash(data[index])
    assert merkle.includes(root=tree.root, size=size, index=index, leaf=leaf, path=path)


@given(st.integers(2, 60).flatmap(lambda size: st.tuples(st.integers(0, size - 1), st.just(size))), st.data())
def test_a_proof_of_another_leaf_place_or_tree_is_refused(
    where: tuple[int, int], draw: st.DataObject
) -> None:
    index, size = where
    tree, known, data = grown(size)
    path = merkle.proof(merkle.inclusion(index, size), known.__getitem__)
    leaf, step = merkle.leaf_hash(data[index]), draw.draw(st.integers(0, len(path) - 1))
    other = draw.draw(st.integers(0, size - 1).filter(lambda n: n != index))
    bent = [*path[:step], bytes(32), *path[step + 1 :]]
    for changed in (
        {"leaf": merkle.leaf_hash(b"another")},
        {"index": other},
        {"index": -1},
        {"index": size},
        {"root": bytes(32)},
        {"path": path[:-1]},
        {"path": [*path, bytes(32)]},
        {"path": bent},
    ):
        said = {"root": tree.root, "size": size, "index": index, "leaf": leaf, "path": path, **changed}
        assert not merkle.includes(**said), changed  # type: ignore[arg-type]


@given(st.integers(1, 90).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new))))
def test_a_tree_is_proved_to_go_on_from_each_of_its_earlier_ones(sizes: tuple[int, int]) -> None:
    old, new = sizes
    (before, _, _), (after, known, _) = grown(old), grown(new)
    path = merkle.proof(merkle.consistency(old, new), known.__getitem__)
    assert merkle.continues(old=old, old_root=before.root, new=new, new_root=after.root, path=path)


@given(st.integers(2, 60).flatmap(lambda new: st.tuples(st.integers(1, new - 1), st.just(new))))
def test_a_tree_that_was_rewritten_has_no_proof(sizes: tuple[int, int]) -> None:
    old, new = sizes
    after, known, data = grown(new)
    path = merkle.proof(merkle.consistency(old, new), known.__getitem__)
    rewritten = plain_root([b"something else", *data[1:old]])
    assert not merkle.continues(old=old, old_root=rewritten, new=new, new_root=after.root, path=path)
    assert not merkle.continues(
        old=old, old_root=plain_root(data[:old]), new=new, new_root=rewritten, path=path
    )


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (-1, 5)])
def test_there_is_no_proof_between_sizes_that_do_not_follow(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="nothing to prove"):
        merkle.consistency(old, new)
    assert not merkle.continues(old=old, old_root=bytes(32), new=new, new_root=bytes(32), path=[bytes(32)])
