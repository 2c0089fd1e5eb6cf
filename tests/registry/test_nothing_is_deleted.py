"""Whatever has a history stays: no endpoint, no admin page, no query of ours and no SQL of the application deletes it.

The nouns are found from the addresses, the admin and the models; none is listed by hand.
"""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import DatabaseError, connection, transaction
from django.db.models import Model, ProtectedError, RestrictedError
from django.test import Client
from django.urls import is_valid_path, reverse

from arm.models import Grant, Tenant, User
from registry import services
from registry.lifecycle import VersionState
from registry.models import Dependency, VersionParent
from tests import make
from tests.registry.genomes import example
from tests.test_architecture import any_id, filled, ids_of, routes

pytestmark = pytest.mark.django_db
MODELS = [model for model in apps.get_app_config("registry").get_models(include_auto_created=True)]
ENDING: dict[type[Model], str] = {
    Dependency: "what a first draft uses, written anew with each of its genomes; fixed once it was submitted",
    VersionParent: "what a first draft comes from; fixed once it was submitted",
}
"""Rows that end by being deleted, and why they are no history. Grants end with their bindings, which stay."""
KEPT = [model for model in MODELS if model not in ENDING and not issubclass(model, Grant)]


def label(model: type[Model]) -> str:
    return model._meta.object_name or ""


@pytest.fixture
def acme() -> Tenant:
    return make.tenant("acme")


@pytest.fixture
def root(acme: Tenant) -> User:
    """Who may do anything that can be done at all."""
    return make.everything(make.user("root", member_of=acme, is_superuser=True, is_staff=True), acme)


def refused(call: Any) -> BaseException:
    with pytest.raises((DatabaseError, ProtectedError, RestrictedError)) as problem, transaction.atomic():
        call()
    return problem.value


def test_no_endpoint_deletes(acme: Tenant, root: User, client: Client) -> None:
    rows, asked = make.one_of_each(acme), set()
    before = {model: model._base_manager.count() for model in MODELS}
    client.force_login(root)
    for path, callback in routes():
        if not path.startswith("/api/v1/registry/"):
            continue
        url = ids_of(rows, path, callback) or filled(path, any_id)
        if not is_valid_path(url):
            continue  # a part of it is neither an identifier nor a word, such as the kind of a file
        answer = client.delete(url)
        assert answer.status_code in {405, 401}, f"DELETE {url}: {answer.status_code}"
        if answer.status_code == 405:
            assert answer.json()["code"] == "method_not_allowed" and "DELETE" in answer.json()["detail"]
            asked.add(path)
    assert len(asked) > 60
    assert {model: model._base_manager.count() for model in MODELS} == before


ADMINS = [model for model in admin.site._registry if model._meta.app_label == "registry"]


@pytest.mark.parametrize("model", ADMINS, ids=label)
def test_the_admin_offers_no_deletion_and_refuses_it(
    model: type[Model], acme: Tenant, root: User, client: Client
) -> None:
    make.one_of_each(acme)
    client.force_login(root)
    name = f"admin:registry_{model._meta.model_name}"
    row, count = model._base_manager.first(), model._base_manager.count()
    listed = client.get(reverse(f"{name}_changelist"))
    assert listed.status_code == 200 and 'value="delete_selected"' not in listed.content.decode()
    chosen = {
        "action": "delete_selected",
        "_selected_action": [str(row.pk if row else any_id("x"))],
        "post": "yes",
    }
    client.post(reverse(f"{name}_changelist"), chosen)
    if row is not None:
        address = reverse(f"{name}_delete", args=[row.pk])
        assert address not in client.get(reverse(f"{name}_change", args=[row.pk])).content.decode()
        for answer in (client.get(address), client.post(address, {"post": "yes"})):
            assert answer.status_code == 403
    assert model._base_manager.count() == count


@pytest.mark.parametrize("model", KEPT, ids=label)
def test_the_database_refuses_the_application_to_delete(model: type[Model], acme: Tenant) -> None:
    table = connection.ops.quote_name(model._meta.db_table)
    for statement in (f"DELETE FROM {table}", f"DELETE FROM {table} WHERE false", f"TRUNCATE {table}"):
        assert "permission denied" in str(refused(lambda sql=statement: connection.cursor().execute(sql)))


def test_the_orm_deletes_neither_one_row_nor_many(acme: Tenant) -> None:
    make.one_of_each(acme)
    tried = 0
    for model in KEPT:
        rows = model._base_manager.all()
        if (row := rows.first()) is None:
            continue
        count = rows.count()
        refused(row.delete)
        refused(rows.delete)
        refused(lambda rows=rows: rows._raw_delete("default"))
        assert model._base_manager.count() == count
        tried += 1
    assert tried > 20


def test_what_ends_by_being_deleted_is_named_here(acme: Tenant) -> None:
    able = set()
    with connection.cursor() as cursor:
        for model in MODELS:
            cursor.execute("SELECT has_table_privilege(%s, 'DELETE')", [model._meta.db_table])
            if cursor.fetchone() == (True,) and not issubclass(model, Grant):
                able.add(model)
    assert able == ENDING.keys()


@pytest.mark.parametrize("model", ENDING, ids=label)
def test_once_submitted_even_that_stays(model: type[Model], acme: Tenant) -> None:
    alice = make.everything(make.user("alice", member_of=acme), acme)
    template = make.template()
    said = {"template": template, "actor": alice, "reason": "r"}
    first = services.create_version(genome=example(template=template.typeid), **said)
    version = services.create_version(
        genome=example(template=template.typeid, tools=[]), parents=[first], **said
    )
    rows = model._base_manager.filter(version=version)
    count = rows.count()
    assert count
    with transaction.atomic():
        rows._raw_delete("default")  # while it is a first draft
        assert not rows.exists()
        transaction.set_rollback(True)
    services.move_version(version=version, to=VersionState.TESTING, actor=alice, reason="r")
    for call in (rows.first().delete, rows.delete, lambda: rows._raw_delete("default")):
        assert "first draft" in str(refused(call))
    services.move_version(version=version, to=VersionState.DRAFT, actor=alice, reason="back")
    assert "first draft" in str(refused(rows.delete))
    assert rows.count() == count
