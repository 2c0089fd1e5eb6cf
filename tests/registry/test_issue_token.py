"""Where there is one tenant only, a command that issues a token need not be told which."""

from io import StringIO

import pytest
from django.core.management import call_command

from arm import db
from registry import services
from tests import make

pytestmark = pytest.mark.usefixtures("committed")


def test_the_only_tenant_need_not_be_named():
    acme = make.tenant("acme")
    alice = make.everything(make.user("alice", member_of=acme), acme)
    services.ensure_tenant_defaults(tenant=acme, actor=alice)
    out = StringIO()
    call_command("issue_token", "ingest", "--environment", "prod", stdout=out)
    assert out.getvalue().startswith("armi_")
    assert len(db.all_tenants()) == 1
