"""The demo is built once, and one that failed midway is not taken for a whole one."""

from io import StringIO

import pytest
from django.core.management import call_command

from arm import clock
from arm.demo import Demo, finish
from tests import make

pytestmark = pytest.mark.django_db


def said() -> str:
    told = StringIO()
    call_command("demo", tenant="acme", stderr=told, verbosity=0)
    return told.getvalue()


def test_a_demo_that_failed_midway_is_said_to_lack_parts_and_a_whole_one_to_be_there():
    acme = make.tenant("acme")
    root = make.user("root", is_superuser=True)
    make.user("alice", member_of=acme)
    assert "begun and not finished" in said() and "--data" in said()
    finish(Demo(tenant=acme, admin=root, seed=7, days=30, now=clock.now()))
    assert said() == "the demo fleet is already there\n"
