"""Tenants, people, what they may do, and whose rows the test sees."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Model

from arm import crypto, db, services
from arm.grants import grant_models
from arm.models import ApiKey, Membership, RoleBinding, SavedView, Team, Tenant, User, UserGrant
from arm.rights import Right

_n = count(1)
_seen: list[Tenant] = []


def forget() -> None:
    """Called before each test: no tenant is known yet."""
    _seen.clear()


def in_sight_of(tenants: Iterable[Tenant]) -> None:
    """What the test's own connection sees: rows of these tenants."""
    with connection.cursor() as cursor:
        value = "{" + ",".join(str(t.pk) for t in tenants) + "}"
        cursor.execute("SELECT set_config('arm.tenants', %s, false)", [value])


def tenant(slug: str = "", **kw: Any) -> Tenant:
    """A tenant, in sight of the test beside those made before."""
    slug = slug or f"tenant-{next(_n)}"
    row = Tenant(slug=slug, **{"name": slug.title()} | kw)
    in_sight_of([*_seen, row])
    row.save(force_insert=True)
    _seen.append(row)
    return row


def _tenant(kw: dict[str, Any]) -> Tenant:
    """The one given, else the first made in this test, else a new one."""
    return kw.pop("tenant", None) or (_seen[0] if _seen else tenant("acme"))


def user(name: str = "", *, member_of: Tenant | None = None, **kw: Any) -> User:
    """A person, a member of `member_of` if given. No rights."""
    row = User.objects.create(username=name or f"user-{next(_n)}", **kw)
    if member_of is not None:
        Membership.objects.create(tenant=member_of, user=row)
    return row


def grant(to: User, on: Model, *rights: Right, **limits: Any) -> RoleBinding:
    """Hand single rights to a person on a scope, as a role binding would (limits: risk_max, expires_at, …)."""
    owner = on if isinstance(on, Tenant) else on.tenant
    binding = RoleBinding.objects.create(
        tenant=owner,
        user=to,
        role="viewer",
        scope_kind=on._meta.label_lower,
        scope_id=on.pk,
        scope_label=str(on),
        reason="test",
        **limits,
    )
    model, permissions = _grants_on(type(on))
    model._default_manager.bulk_create(
        model(
            user=to,
            permission_id=permissions[right.value],
            content_object=on,
            tenant=owner,
            binding=binding,
            **limits,
        )
        for right in rights
    )
    return binding


@cache
def _grants_on(scope: type[Model]) -> tuple[type[UserGrant], dict[str, int]]:
    """The table of people's grants on such a scope, and its permissions: the same rows in every copied database."""
    (model,) = (
        m
        for m in grant_models()
        if issubclass(m, UserGrant) and m._meta.get_field("content_object").related_model is scope
    )
    kind = ContentType.objects.get_for_model(scope)
    return model, dict(Permission.objects.filter(content_type=kind).values_list("codename", "pk"))


def team(name: str = "", **kw: Any) -> Team:
    """A team of nobody yet."""
    owner, name = _tenant(kw), name or f"team-{next(_n)}"
    group = Group.objects.create(name=f"{owner.slug}/{name}")
    return Team.objects.create(tenant=owner, group=group, name=name)


def hired(name: str, role: str, on: Model) -> User:
    """A member who holds a role on a scope, bound by the service as an administrator would."""
    owner = on if isinstance(on, Tenant) else on.tenant
    admin = everything(user(f"hires-{name}", member_of=owner), owner)
    person = user(name, member_of=owner)
    services.bind(principal=person, role=role, scope=on, actor=admin, reason="hired")
    return person


def everything(to: User, on: Model) -> User:
    """Every right on a scope: for tests about something other than rights."""
    grant(to, on, *Right)
    return to


def view(owner: User, **kw: Any) -> SavedView:
    """A saved view of the agents, private unless said."""
    defaults = {"list_name": "registry:template_list", "name": f"view-{next(_n)}", "query": "risk=high"}
    return SavedView.objects.create(tenant=_tenant(kw), owner=owner, **defaults | kw)


def key(kind: ApiKey.Kind, **kw: Any) -> tuple[ApiKey, str]:
    """A key and its secret."""
    token = crypto.new_token(kind.value)
    row = ApiKey.objects.create(
        tenant=_tenant(kw),
        kind=kind,
        digest=crypto.token_digest(token),
        last4=token[-4:],
        **{"name": f"key-{next(_n)}"} | kw,
    )
    return row, token


@contextmanager
def platform() -> Iterator[None]:
    """What a platform administrator sees of the security log: lines of no tenant, too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, 'on', true)", [db.PLATFORM])
        yield
        cursor.execute("SELECT set_config(%s, '', true)", [db.PLATFORM])


@contextmanager
def as_the_owner() -> Iterator[None]:
    """INSERT and UPDATE run as a function of the owner would: for tables that the application may only read."""

    def write(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not sql.startswith(("INSERT", "UPDATE")):
            return execute(sql, params, many, context)
        return execute("SELECT tests_write(%s)", [context["cursor"].mogrify(sql, params)], many, context)

    with connection.execute_wrapper(write):
        yield


def body(value: Any) -> bytes:
    return json.dumps(value).encode()
