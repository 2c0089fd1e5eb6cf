"""What the stories share: one installation for a module, and what there is in it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .product import Product, product


@pytest.fixture(scope="module")
def running() -> Iterator[Product]:
    with product() as found:
        found.start()
        yield found


@pytest.fixture(scope="module")
def facts(running: Product) -> dict[str, Any]:
    """Who and what there is: identifiers and secrets."""
    said = running.manage("shell", "-c", "from tests.processes.setting import build; build()")
    found: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
    return found
