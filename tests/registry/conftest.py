"""The directory's tests ask the directory's own gates; those that other apps plug in are tested with these apps."""

import pytest

from tests import make

GATES = (
    *("PROMOTION_GATES", "ACTIVATION_GATES", "RETIREMENT_GATES", "DRAINED_GATES", "BINDING_GATES"),
    "SPAWN_RULES",
)


@pytest.fixture(autouse=True)
def own_gates(settings):
    for name in GATES:
        setattr(settings, name, [path for path in getattr(settings, name) if path.startswith("registry.")])


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def acme(tenant):
    """The same, by its name."""
    return tenant


@pytest.fixture
def alice(tenant):
    """Whatever there is a right to, she has it."""
    return make.everything(make.user("alice", member_of=tenant), tenant)


@pytest.fixture
def rita(tenant):
    """Releases in the whole tenant."""
    return make.hired("rita", "release_manager", tenant)


@pytest.fixture
def dan(tenant):
    """On call for the fleet."""
    return make.hired("dan", "fleet_operator", tenant)


@pytest.fixture
def old():
    """An approved version, and below `new`, the next of its agent."""
    return make.approved()


@pytest.fixture
def new(old):
    return make.approved(template=old.template)
