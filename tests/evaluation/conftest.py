"""Whom tests of evaluation speak of, unless they hire somebody else of that name."""

import pytest

from tests import make


@pytest.fixture
def tenant():
    return make.tenant("acme")


@pytest.fixture
def alice(tenant):
    return make.everything(make.user("alice", member_of=tenant), tenant)


@pytest.fixture
def erin(tenant):
    return make.everything(make.user("erin", member_of=tenant), tenant)
