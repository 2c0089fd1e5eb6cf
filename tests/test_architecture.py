"""What the import contracts cannot see: the schema, the walls, the doors, the only writers."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import get_resolver
from django.urls.converters import get_converters
from django.urls.resolvers import RoutePattern, URLPattern, URLResolver

from arm.admin import ScopedAdmin
from arm.ids import encode, uuid7
from arm.models import Grant, TenantRow
from arm.rights import Right
from arm.roles import ROLES
from registry.models import VersionEvidence
from tests import make

ROOT = Path(__file__).parent.parent
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
RANK = {app.strip(): -n for n, row in enumerate(CONTRACT["layers"]) for app in row.split("|")}
OURS = [model for model in apps.get_models(include_auto_created=True) if model._meta.app_label in RANK]
SOURCES = [
    path
    for app in RANK
    for path in (ROOT / app).rglob("*.py")
    if "migrations" not in path.relative_to(ROOT).parts
]


# --- the schema ----------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_models_of_partitioned_tables_say_so_and_no_others_do():
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'p'")
        parted = {name for (name,) in cursor.fetchall()}
    assert {model._meta.db_table for model in OURS if getattr(model, "in_partitions", False)} == parted


def test_foreign_keys_point_down_and_leave_no_way_back_up():
    for model in OURS:
        for field in model._meta.get_fields():
            if field.auto_created or not getattr(field, "remote_field", None) or field.related_model is None:
                continue
            here, there = model._meta.app_label, field.related_model._meta.app_label
            if there in RANK and here != there and not issubclass(model, Grant):
                assert RANK[there] < RANK[here], f"{field} points up"
                assert field.remote_field.hidden, f"{field} needs related_name='+'"


NOT_WALLED = {
    "arm_user": "people may work in several tenants",
    "arm_user_groups": "of people",
    "arm_user_user_permissions": "of people; unused",
    "arm_processbeat": "processes serve all tenants",
}
NOT_FORCED = {
    "arm_tenant", "arm_membership", "arm_apikey", "arm_securityevent", "federation_invite",
    "federation_providerclient", "federation_accesstoken",
}  # fmt: skip


def walled_tables():
    return sorted(model._meta.db_table for model in OURS if model._meta.managed or model._meta.db_table)


@pytest.mark.django_db
def test_functions_of_triggers_are_nobodys_to_call():
    """Whoever may call one may hang it onto a table of his own, and what it writes is written as the owner."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT oid::regprocedure::text, has_function_privilege(oid, 'EXECUTE') FROM pg_proc"
            " WHERE prorettype = 'trigger'::regtype AND pronamespace = 'public'::regnamespace"
        )
        found = dict(cursor.fetchall())
        assert len(found) > 12 and not [name for name, callable_ in found.items() if callable_]
        with pytest.raises(DatabaseError, match="denied for function"), transaction.atomic():
            cursor.execute(
                "CREATE TEMP TABLE mine (tenant_id uuid, version_id uuid, environment_id uuid, state text)"
            )
            cursor.execute(
                "CREATE TRIGGER x AFTER INSERT ON mine REFERENCING NEW TABLE AS made"
                " FOR EACH STATEMENT EXECUTE FUNCTION registry_keep_live()"
            )


@pytest.mark.django_db
@pytest.mark.parametrize("table", walled_tables())
def test_every_table_of_ours_stands_behind_the_wall(table):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relrowsecurity, relforcerowsecurity, (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) "
            "FROM pg_class c WHERE oid = %s::regclass",
            [table],
        )
        enabled, forced, policies = cursor.fetchone()
    if table in NOT_WALLED:
        assert not enabled, f"{table} is walled now: take it off the list"
    else:
        assert enabled and policies == 1, f"{table} needs arm.db.row_level_security"
        assert forced or table in NOT_FORCED, f"{table} must be forced on its owner too"


def test_every_root_row_knows_its_tenant():
    for model in OURS:
        if model._meta.db_table in NOT_WALLED or model._meta.db_table == "arm_tenant":
            continue
        names = {field.name for field in model._meta.get_fields()}
        assert "tenant" in names or "tenant_id" in names, f"{model.__name__} has no tenant"


@pytest.mark.django_db
def test_append_only_tables_refuse_update_delete_and_truncate():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE obj_description(oid, 'pg_class') = 'append-only'"
            " AND relnamespace = 'public'::regnamespace"
        )
        tables = {name for (name,) in cursor.fetchall()}
        assert {"arm_changerecord", "arm_securityevent", "registry_genome", "registry_prompt"} <= tables
        for table in sorted(tables):
            cursor.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1", [table]
            )
            (column,) = cursor.fetchone()
            for statement in (
                f'UPDATE {table} SET "{column}" = "{column}"',
                f"DELETE FROM {table}",
                f"TRUNCATE {table}",
            ):
                with pytest.raises(DatabaseError), transaction.atomic():
                    cursor.execute(statement)


def test_shown_identifiers_have_one_prefix_per_noun():
    # Evidence of a version is the artefact itself, in the eyes of who may see it: one identifier, one document.
    prefixes = [m.prefix for m in OURS if issubclass(m, TenantRow) and m is not VersionEvidence]
    assert len(prefixes) == len(set(prefixes)), sorted(p for p in prefixes if prefixes.count(p) > 1)


# --- the doors -----------------------------------------------------------------------------------------------

PUBLIC = {
    "/api/schema", "/health/", "/ready/", "/sign-in/", "/sign-out/", "/admin/login/", "/admin/jsi18n/",
    "/.well-known/arm-keys.json", "/.well-known/arm-a2a-jwks.json", "/.well-known/arm-federation", "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
}  # fmt: skip
PART = re.compile(r"<(?:(?P<converter>\w+):)?(?P<name>\w+)>|\(\?P<(?P<group>\w+)>[^)]*\)")


def routes(patterns=None, prefix="/"):
    """(path with `<converter:name>` parts, callback) of every URL."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        part = str(pattern.pattern)
        if not isinstance(pattern.pattern, RoutePattern):
            part = re.sub(r"^\^|\$$|\\Z|\\", "", part)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, prefix + part)
        elif isinstance(pattern, URLPattern):
            yield prefix + part, pattern.callback


def filled(path, row_ids):
    """The path with real identifiers; None where no row of that kind is at hand."""

    def fill(found):
        name = found["converter"] or ""
        converter = get_converters().get(name)
        prefix = getattr(converter, "prefix", "")
        if prefix:
            return row_ids(prefix)
        return row_ids(found["name"] or found["group"] or "", path)

    return PART.sub(fill, path).replace("?", "")


def any_id(kind, path=""):
    return encode(kind, uuid7()) if kind and len(kind) <= 4 and not path else str(uuid7())


@pytest.mark.django_db
@pytest.mark.parametrize("route", sorted({path for path, _ in routes()} - PUBLIC))
def test_no_url_answers_the_anonymous(route, client):
    path = filled(route, any_id)
    for ask in (client.get, client.post):
        response = ask(path)
        assert response.status_code in {302, 401, 403, 404, 405}, f"{path}: {response.status_code}"
        if response.status_code == 302:
            assert "/sign-in/" in response["Location"] or "/admin/login/" in response["Location"], path


def detail_paths():
    for path, callback in routes():
        if PART.search(path) and not path.startswith("/admin/"):
            yield path, callback


def ids_of(rows, path, callback):
    """The path filled with the rows of the kind that this view loads, or None."""
    model = getattr(getattr(callback, "cls", None) or getattr(callback, "view_class", None), "queryset", None)
    view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    by_view = getattr(view, "prefix", "") or getattr(getattr(model, "model", None), "prefix", "")
    missing = []

    def row_id(kind, whole=""):
        prefix = by_view if whole or kind not in rows else kind
        if prefix not in rows:
            missing.append((prefix, kind))
            return "x"
        return rows[prefix].typeid

    path = filled(path, row_id)
    return None if missing else path


@pytest.mark.django_db
def test_no_existing_object_answers_a_stranger():
    acme, other = make.tenant("acme"), make.tenant("other")
    rows = make.one_of_each(acme)
    nobody = make.user("nobody", member_of=acme)
    mallory = make.everything(make.user("mallory", member_of=other), other)
    visitors = {visitor: Client() for visitor in (nobody, mallory)}
    for visitor, client in visitors.items():
        client.force_login(visitor)
    swept, unfilled = 0, []
    for path, callback in detail_paths():
        url = ids_of(rows, path, callback)
        if url is None:
            unfilled.append(path)
            continue
        for visitor, client in visitors.items():
            for ask in (client.get, client.post):
                response = ask(url)
                assert response.status_code in {403, 404, 405}, f"{url} told {visitor} {response.status_code}"
        swept += 1
    for visitor, client in visitors.items():
        assert client.get("/registry/templates/").wsgi_request.user == visitor, "signed in to the end"
    assert swept >= 1, "the sweep found nothing to sweep"
    assert not unfilled, f"make.one_of_each needs rows for: {unfilled}"


@pytest.mark.django_db
def test_lists_show_a_stranger_nothing_of_another_tenant(client):
    acme, other = make.tenant("acme"), make.tenant("other")
    rows = make.one_of_each(acme)
    mallory = make.everything(make.user("mallory", member_of=other), other)
    client.force_login(mallory)
    names = [row.typeid for row in rows.values()]
    for path, _ in routes():
        if PART.search(path) or path in PUBLIC or path.startswith("/admin/log"):
            continue
        page = client.get(path)
        body = b"" if page.streaming else page.content
        assert page.status_code < 500, f"{path}: {page.status_code}"
        for name in names:
            assert name.encode() not in body, f"{path} shows {name}"


# --- the only writers ----------------------------------------------------------------------------------------

STATES = {"state", "stage", "status"}


def is_service(path):
    return path.stem == "services" or "services" in path.relative_to(ROOT).parts or path.name == "demo.py"


def assigned(node):
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AugAssign)
        else []
    )
    for outer in targets:
        yield from outer.elts if isinstance(outer, ast.Tuple) else [outer]


def test_only_services_write_states():
    for path in SOURCES:
        if "parsing" in path.parts:
            continue  # what a span says of itself, before any row exists
        for node in ast.walk(ast.parse(path.read_text())):
            for target in assigned(node):
                if isinstance(target, ast.Attribute) and target.attr in STATES and not is_service(path):
                    owner = target.value
                    assert isinstance(owner, ast.Name) and owner.id == "self" and "models" not in str(path), (
                        f"{path.relative_to(ROOT)}:{node.lineno} writes .{target.attr}"
                    )


def test_pages_forms_and_endpoints_never_save():
    for path in SOURCES:
        if not {path.stem, *path.parent.relative_to(ROOT).parts} & {
            "forms",
            "views",
            "api",
            "endpoints",
            "admin",
            "filters",
        }:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in {"save", "bulk_create", "bulk_update"}, f"{path}:{node.lineno}"


def test_every_admin_page_writes_through_services():
    for model, site in admin.site._registry.items():
        assert isinstance(site, ScopedAdmin), f"{model._meta.label} is written behind the services"
        for name in ("save_model", "delete_model", "log_addition", "save_related"):
            assert getattr(type(site), name) is getattr(ScopedAdmin, name), f"{model._meta.label}.{name}"


def test_nothing_asks_for_rights_another_way():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                assert node.attr not in {"is_staff", "has_perm", "has_perms", "has_module_perms"}, (
                    f"{path}:{node.lineno}"
                )


def test_files_stay_within_sight():
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 400}
    assert not long, f"past 400 lines a file becomes a package: {long}"


def test_every_module_says_its_one_job():
    for path in SOURCES:
        text = path.read_text()
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} has no docstring"


# --- roles ---------------------------------------------------------------------------------------------------


def test_every_right_belongs_to_some_role():
    held = {right for role in ROLES.values() for right in role.rights}
    waiting = {Right.EXPORT_AUDIT_PACK, Right.RUN_EVALUATION}
    assert set(Right) - held - waiting == set()


def test_an_auditor_writes_nothing():
    assert not ROLES["auditor"].writes
