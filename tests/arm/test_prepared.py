"""A process says that it is ready when the database can be asked what it will ask."""

import pytest
from django.db import connections
from django.urls import reverse

from arm import grants

pytestmark = pytest.mark.usefixtures("committed")


def test_a_database_without_them_is_not_ready(client):
    assert client.get(reverse("ready")).json()["rights"] == "ok"
    with connections["owner"].cursor() as cursor:
        cursor.execute("DROP FUNCTION arm_scopes_of(uuid, text)")
    answer = client.get(reverse("ready"))
    assert answer.status_code == 503
    assert answer.json()["rights"] == "nobody has any: run manage.py prepare"
    grants.prepare("owner")
    assert client.get(reverse("ready")).json()["rights"] == "ok"
