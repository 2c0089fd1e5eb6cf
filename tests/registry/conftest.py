"""The directory's tests ask the directory's own gates; those that other apps plug in are tested with these apps."""

import pytest

GATES = ("PROMOTION_GATES", "ACTIVATION_GATES", "RETIREMENT_GATES", "BINDING_GATES")


@pytest.fixture(autouse=True)
def own_gates(settings):
    for name in GATES:
        setattr(settings, name, [path for path in getattr(settings, name) if path.startswith("registry.")])
