"""A tenant and the people who work in it, for tests that need nothing special of either."""

import pytest

from tests import make
from tests.policy.people import CAST, hire


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def people(acme):
    return hire(acme, **CAST)
