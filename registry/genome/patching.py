"""The difference of two genomes as a JSON Patch (RFC 6902): what turns the older one's stored bytes into the newer's.

Between two normalised genomes, in the order of the schema. Items of a set are told apart by their key, as in `diff`, so
that a tool that was added does not change every tool behind it.
"""

from collections.abc import Iterator
from typing import Any

from registry.genome.comparing import keyed, same
from registry.genome.kinds import Json
from registry.genome.reading import pointer
from registry.genome.schema import SCHEMA
from registry.genome.sealing import member_rule, normalise

Path = tuple[str | int, ...]
Operation = dict[str, Any]


def patch(before: dict[str, Json], after: dict[str, Json]) -> list[Operation]:
    """Operations `add`, `remove` and `replace`; empty for equal digests. Applied in order to `before`, normalised, they
    give `after`, normalised."""
    return list(_changed(normalise(before), normalise(after), SCHEMA, ()))


def _changed(old: Json, new: Json, rule: dict[str, Json], path: Path) -> Iterator[Operation]:
    if same(old, new):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _members(old, new, rule, path)
    elif isinstance(old, list) and isinstance(new, list) and "x-arm-set" in rule:
        yield from _items(old, new, rule, path)
    else:
        yield {"op": "replace", "path": pointer(path), "value": new}


def _members(
    old: dict[str, Json], new: dict[str, Json], rule: dict[str, Json], path: Path
) -> Iterator[Operation]:
    for name in sorted(old.keys() | new.keys()):
        where = (*path, name)
        if name not in new:
            yield {"op": "remove", "path": pointer(where)}
        elif name not in old:
            yield {"op": "add", "path": pointer(where), "value": new[name]}
        else:
            yield from _changed(old[name], new[name], member_rule(rule, name) or {}, where)


def _items(old: list[Json], new: list[Json], rule: dict[str, Json], path: Path) -> Iterator[Operation]:
    was, now = keyed(old, rule["x-arm-set"]), keyed(new, rule["x-arm-set"])
    kept = [key for key in was if key in now]
    if kept != [key for key in now if key in was]:  # one that stayed has another place among its neighbours
        yield {"op": "replace", "path": pointer(path), "value": new}
        return
    for key in reversed(was):  # from the end, so that no place moves before its turn
        if key not in now:
            yield {"op": "remove", "path": pointer((*path, was[key][0]))}
    for key, (place, item) in now.items():
        if key in was:
            yield from _changed(was[key][1], item, rule["items"], (*path, place))
        else:
            yield {"op": "add", "path": pointer((*path, place)), "value": item}
