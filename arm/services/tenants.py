"""Writes of tenants: a new one, with somebody who administers it."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.module_loading import import_string

from arm import changes, db
from arm.errors import Conflict, Invalid, NotAllowed, Problem
from arm.models import Membership, Tenant, User
from arm.services.roles import bind


@transaction.atomic
def create_tenant(*, slug: str, name: str, admin: User, actor: User, reason: str) -> Tenant:
    """A tenant with what every tenant starts with (settings.TENANT_DEFAULTS); `admin` becomes its administrator.

    Only an administrator of the platform may. Invalid where `admin` is no person who can sign in.
    """
    if not (actor.is_superuser and actor.is_active):
        raise NotAllowed("Tenants are the business of the platform's administrators.")
    if admin.kind != User.Kind.PERSON or not admin.is_active:
        raise Invalid("A tenant is administered by a person whose account is open.")
    tenant = Tenant(slug=slug, name=name)
    try:
        tenant.clean_fields()
    except ValidationError as wrong:
        problems = [
            Problem(pointer=f"/{field}", code="invalid", message=message)
            for field, messages in wrong.message_dict.items()
            for message in messages
        ]
        raise Invalid("The tenant cannot be made.", problems) from wrong
    with db.tenants(db.all_tenants()):
        if Tenant.objects.filter(slug=slug).exists():
            raise Conflict(f"There is a tenant “{slug}” already.")
    with db.tenants([tenant.pk]):
        tenant.save(force_insert=True)
        changes.record(actor, "arm.tenant.created", tenant, after={"slug": slug, "name": name}, reason=reason)
        member = Membership.objects.create(tenant=tenant, user=admin)
        changes.record(actor, "arm.member.added", member, after={"user": admin.username}, reason=reason)
        for path in settings.TENANT_DEFAULTS:
            import_string(path)(tenant=tenant, actor=actor)
        if not admin.is_superuser:
            bind(principal=admin, role="tenant_admin", scope=tenant, actor=actor, reason=reason)
    return tenant
