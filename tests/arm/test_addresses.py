"""Addresses and questions that are a little wrong: mended where that is safe, refused with a pointer where it is not."""

import json
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import Client
from django.urls import NoReverseMatch, reverse, set_script_prefix

from arm.addresses import page, page_of
from arm.models import ApiKey
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def machine() -> Client:
    tenant = make.tenant()
    alice = make.everything(make.user("", member_of=tenant), tenant)
    _, token = make.key(ApiKey.Kind.SERVICE, tenant=tenant, user=alice)
    return Client(headers={"authorization": f"Bearer {token}"})


@pytest.fixture
def browser() -> Client:
    tenant = make.tenant()
    client = Client()
    client.force_login(make.everything(make.user("", member_of=tenant), tenant))
    return client


def test_a_page_without_its_last_slash_is_found_with_its_question(browser: Client) -> None:
    answer = browser.get("/registry/versions?state=draft")
    assert (answer.status_code, answer["Location"]) == (301, "/registry/versions/?state=draft")


def test_a_form_is_never_sent_elsewhere(browser: Client) -> None:
    assert browser.post("/registry/templates/new", {"slug": "x"}).status_code == 404


def test_nobody_is_sent_off_to_another_site(browser: Client) -> None:
    assert browser.get("/", PATH_INFO="//evil.example/registry/versions").status_code == 404


@pytest.mark.parametrize(
    "noun", ["registry/instances", "registry/versions", "policy/decisions", "policy/approvals"]
)
def test_a_misspelt_filter_is_named_and_shows_nothing(machine: Client, noun: str) -> None:
    answer = machine.get(f"/api/v1/{noun}/?enviroment=prod&page_size=5")
    body: dict[str, Any] = json.loads(answer.content)
    assert answer.status_code == 422
    assert [error["pointer"] for error in body["errors"]] == ["/enviroment"]


def test_a_body_that_is_too_large_is_413_for_machines_and_people(
    machine: Client, browser: Client, settings: Any
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    sent = json.dumps({"slug": "x", "name": "x" * 2000, "reason": "x"})
    answer = machine.post("/api/v1/registry/templates/", sent, content_type="application/json")
    page = browser.post("/registry/templates/new/", {"slug": "x", "name": "x" * 2000, "reason": "x"})
    assert (answer.status_code, json.loads(answer.content)["code"]) == (413, "too_large")
    assert page.status_code == 413
    assert "too large" in page.content.decode()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("WITNESSES", ["policy.plugins.Nobody"]),
        ("LIMITS", "policy.plugins.Nothing"),
        ("POLICY_FACTS", {"fact": "policy.nowhere.Known"}),
    ],
)
def test_a_port_that_does_not_import_stops_the_start(settings: Any, setting: str, value: Any) -> None:
    setattr(settings, setting, value)
    assert any(f"{setting} names" in str(problem.msg) for problem in run_checks())


def test_a_page_of_a_row_is_where_django_finds_it_and_nothing_else_is_put_into_an_address() -> None:
    row = make.version()
    assert page_of("registry:version_detail", row.typeid) == reverse(
        "registry:version_detail", args=[row.typeid]
    )
    assert page_of("registry:version_diff", row.typeid).endswith(f"{row.typeid}/diff/")
    assert page("registry:version_list") == reverse("registry:version_list")
    for name, text in (
        ("registry:version_detail", f"{row.typeid}?x=1"),
        ("registry:version_detail", "ver_" + "é" * 26),
        ("registry:version_detail", str(row.pk)),
        ("registry:nowhere", row.typeid),
    ):
        with pytest.raises(NoReverseMatch):
            page_of(name, text)


def test_below_another_path_addresses_begin_with_it() -> None:
    row = make.version()
    assert row.get_absolute_url() == f"/registry/versions/{row.typeid}/"
    set_script_prefix("/arm/")
    try:
        assert row.get_absolute_url() == f"/arm/registry/versions/{row.typeid}/"
        assert page("registry:version_list") == "/arm/registry/versions/"
    finally:
        set_script_prefix("/")


def test_addresses_are_those_of_the_configuration_that_serves(settings: Any) -> None:
    assert page("registry:version_list") == "/registry/versions/"
    settings.ROOT_URLCONF = "arm.urls_gateway"
    with pytest.raises(NoReverseMatch):
        page("registry:version_list")
