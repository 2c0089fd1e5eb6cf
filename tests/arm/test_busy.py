"""A database that keeps people waiting, or is away: 503, when to come again, and nothing half-written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.test import Client
from django.urls import reverse

from arm import db
from arm.models import ApiKey, ChangeRecord, Tenant, User
from registry.models import AgentTemplate
from tests import make

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(autouse=True)
def impatient(settings: Any) -> None:
    settings.REQUEST_LIMITS = {"lock_timeout": "200ms", "statement_timeout": "5s"}


@pytest.fixture
def tenant() -> Tenant:
    return make.tenant()


@pytest.fixture
def alice(tenant: Tenant) -> User:
    return make.everything(make.user("", member_of=tenant), tenant)


@pytest.fixture
def browser(alice: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    return client


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Somebody else holds the whole table."""
    with psycopg.connect(**connections["owner"].get_connection_params()) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def check_page(answer: Any) -> None:
    assert answer.status_code == 503
    assert answer["Retry-After"] == "2"
    assert answer["X-Request-ID"] in answer.content.decode()


def test_a_page_that_waits_too_long_says_busy_with_its_request_id(browser: Client) -> None:
    with locked("registry_agenttemplate"):
        answer = browser.get(reverse("registry:template_list"))
    check_page(answer)
    assert "ARM is busy" in answer.content.decode()


def test_the_page_answers_again_once_the_lock_is_gone(browser: Client) -> None:
    with locked("registry_agenttemplate"):
        browser.get(reverse("registry:template_list"))
    assert browser.get(reverse("registry:template_list")).status_code == 200


def test_the_api_says_busy_as_a_problem(tenant: Tenant, alice: User) -> None:
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=alice)
    client = Client(headers={"authorization": f"Bearer {token}"})
    with locked("registry_agenttemplate"):
        answer = client.get("/api/v1/registry/templates/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert answer["Content-Type"] == "application/problem+json"
    assert json.loads(answer.content)["code"] == "unavailable"
    assert json.loads(answer.content)["request_id"] == answer["X-Request-ID"]


def test_a_form_that_could_not_write_its_record_has_written_nothing(tenant: Tenant, browser: Client) -> None:
    form = {"slug": "refund-desk", "name": "Refund desk", "risk": "medium", "reason": "Asked for"}
    with locked("arm_changerecord"):
        answer = browser.post(reverse("registry:template_create"), form)
    check_page(answer)
    with db.tenants([tenant.pk]):
        assert not AgentTemplate.objects.filter(slug="refund-desk").exists()
        assert not ChangeRecord.objects.filter(verb="template_registered").exists()


@pytest.mark.parametrize("path", ["/", "/api/v1/registry/templates/", "/admin/"])
def test_a_database_that_is_away_is_said_to_be_busy(
    browser: Client, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The connection is refused for real: nobody listens at that address."""
    default = connections["default"]
    default.close()
    away = {**default.get_connection_params(), "host": "/nowhere/at/all"}
    with monkeypatch.context() as patch:
        patch.setattr(default, "get_connection_params", lambda: away)
        answer = browser.get(path)
        assert (answer.status_code, answer["Retry-After"]) == (503, "2")
        assert answer["X-Request-ID"] in answer.content.decode()
    assert browser.get("/health/").status_code == 200
