"""A change record in the admin reads as on its page: identifiers as they are written everywhere, no bare UUID."""

import re

import pytest
from django.test import Client

from arm import changes
from arm.ids import encode
from tests import make

pytestmark = pytest.mark.django_db
UUID = re.compile(r">\s*[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\s*<")


def test_an_auditor_reads_a_record_without_bare_uuids() -> None:
    tenant = make.tenant("acme")
    template = make.template(tenant=tenant)
    record = changes.record(None, "registry.template.changed", template, reason="as Alice asked")
    client = Client()
    client.force_login(make.hired("heidi", "auditor", tenant))
    page = client.get(f"/admin/arm/changerecord/{record.pk}/change/").content.decode()
    assert record.typeid in page
    assert encode("tpl", template.pk) in page
    assert "none: made by a command" in page
    assert not UUID.search(page)


def test_the_page_of_a_record_says_that_a_command_made_it() -> None:
    tenant = make.tenant("acme")
    record = changes.record(None, "test.thing.made", tenant)
    client = Client()
    client.force_login(make.hired("heidi", "auditor", tenant))
    assert b"none: made by a command" in client.get(f"/changes/{record.typeid}/").content
