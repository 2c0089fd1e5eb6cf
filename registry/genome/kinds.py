"""The kinds of values that the schema of a genome is written with."""

from typing import Any

Json = Any
"""A JSON value: str, int, float, bool, None, or a list or str-keyed dict of them."""


def text(longest: int, **more: Json) -> dict[str, Json]:
    return {"type": "string", "minLength": 1, "maxLength": longest, **more}


def name(longest: int = 256) -> dict[str, Json]:
    return text(longest, **{"x-arm-name": True})


def whole(least: int, most: int) -> dict[str, Json]:
    return {"type": "integer", "minimum": least, "maximum": most}


def matching(pattern: str, description: str, **more: Json) -> dict[str, Json]:
    return {"type": "string", "pattern": pattern, "description": description, **more}


def members(required: tuple[str, ...], properties: dict[str, Json], **more: Json) -> dict[str, Json]:
    rule = {"type": "object", "additionalProperties": False, "properties": properties, **more}
    return {**rule, "required": list(required)} if required else rule


def set_of(
    items: dict[str, Json], by: tuple[str, ...] = (), most: int = 256, **more: Json
) -> dict[str, Json]:
    return {"type": "array", "items": items, "maxItems": most, "x-arm-set": list(by), **more}


def free(description: str) -> dict[str, Json]:
    return {"type": "object", "x-arm-free": True, "description": description}


def extension() -> dict[str, Json]:
    return {"x-arm-free": True, "description": "An extension: hashed, and otherwise left alone."}
