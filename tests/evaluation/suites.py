"""Suites as people would write them."""

from typing import Any


def contains(text: str, **more: Any) -> dict[str, Any]:
    return {"scorer": "contains", "field": "/output", "text": text, **more}


def case(name: str = "greets", **more: Any) -> dict[str, Any]:
    return {"name": name, "input": f"Please: {name}", "scorers": [contains(name)], **more}


def suite(*cases: dict[str, Any], category: str = "regression", **more: Any) -> dict[str, Any]:
    return {"schema": "arm.suite/v1", "category": category, "cases": list(cases) or [case()], **more}
