"""Providers in time: what they are called, where they stand, what was agreed; which of them a tenant allows; their end."""

from collections.abc import Collection
from typing import Any, Final

from django.db import transaction

from arm import changes, clock
from arm.errors import Conflict, Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import require
from arm.rights import Right
from arm.words import counted

from ..models import AgentInstance, DeploymentSlot, DirectoryRules, Provider
from .asking import refuse, require_reason
from .locking import locked

MEMBERS: Final = frozenset(["name", "description", "region", "terms", "heartbeat_seconds"])


@transaction.atomic
def update_provider(*, provider: Provider, actor: User, reason: str, **values: Any) -> Provider:
    """Change what a provider is called, where it stands, what was agreed, or how long an instance may be silent there; its
    slug and its kind stay. The record has before and after."""
    require(actor, Right.MANAGE_DIRECTORY, provider)
    require_reason(reason)
    _judged(values)
    provider = locked(Provider.objects.select_related("tenant"), provider.pk)
    after = {name: value for name, value in values.items() if getattr(provider, name) != value}
    if not after:
        return provider
    before = {name: getattr(provider, name) for name in after}
    for name, value in after.items():
        setattr(provider, name, value)
    provider.save(update_fields=list(after))
    changes.record(actor, "registry.provider.updated", provider, before=before, after=after, reason=reason)
    return provider


@transaction.atomic
def close_provider(*, provider: Provider, actor: User, reason: str) -> Provider:
    """Nothing new begins there from now on. Conflict, with how many, while slots there hold a version or instances live:
    they are emptied and retired first, and so seen. Its history stays."""
    require(actor, Right.MANAGE_DIRECTORY, provider)
    require_reason(reason)
    provider = locked(Provider.objects.select_related("tenant"), provider.pk)
    if provider.closed_at is not None:
        raise Conflict(f"{provider} is closed already.")
    slots = DeploymentSlot.objects.filter(provider=provider).exclude(current_version=None).count()
    live = AgentInstance.objects.live().filter(provider=provider).count()
    if slots or live:
        raise Conflict(
            f"{counted(slots, 'slot')} there with a version and {counted(live, 'live instance')}:"
            " empty the slots and retire the instances first.",
            slots=slots,
            instances=live,
        )
    provider.closed_at = clock.now()
    provider.save(update_fields=["closed_at"])
    changes.record(actor, "registry.provider.closed", provider, after={"closed": True}, reason=reason)
    return provider


@transaction.atomic
def reopen_provider(*, provider: Provider, actor: User, reason: str) -> Provider:
    """It takes something new again."""
    require(actor, Right.MANAGE_DIRECTORY, provider)
    require_reason(reason)
    provider = locked(Provider.objects.select_related("tenant"), provider.pk)
    if provider.closed_at is None:
        raise Conflict(f"{provider} is open.")
    before, provider.closed_at = {"closed_at": provider.closed_at}, None
    provider.save(update_fields=["closed_at"])
    changes.record(actor, "registry.provider.reopened", provider, before=before, reason=reason)
    return provider


@transaction.atomic
def allow_providers(
    *, tenant: Tenant, providers: Collection[str], actor: User, reason: str
) -> DirectoryRules:
    """From now on slots are opened and bound, and instances provisioned and activated, at these providers only (short names);
    none named: at all of them. What works elsewhere works on. Invalid names every one that does not exist."""
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    wanted = sorted(set(providers))
    known = set(Provider.objects.filter(tenant=tenant).values_list("slug", flat=True))
    problems = [
        Problem(pointer=f"/providers/{at}", code="unknown", message=f"There is no provider “{slug}”.")
        for at, slug in enumerate(wanted)
        if slug not in known
    ]
    if problems:
        raise Invalid("The allowed providers are not changed.", problems)
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    rules, _ = DirectoryRules.objects.get_or_create(tenant=tenant)
    if rules.allowed_providers == wanted:
        return rules
    before, rules.allowed_providers = {"providers": rules.allowed_providers}, wanted
    rules.save(update_fields=["allowed_providers"])
    after = {"providers": wanted}
    changes.record(actor, "registry.providers.allowed", rules, before=before, after=after, reason=reason)
    return rules


def _judged(values: dict[str, Any]) -> None:
    if unknown := sorted(values.keys() - MEMBERS):
        refuse(f"/{unknown[0]}", "unknown", "A provider has no such member that can be changed.")
    if "name" in values and not 0 < len(str(values["name"]).strip()) <= 160:
        refuse("/name", "range", "Between 1 and 160 characters.")
    if "region" in values and len(values["region"]) > 80:
        refuse("/region", "range", "At most 80 characters.")
    seconds = values.get("heartbeat_seconds", 60)
    if not (isinstance(seconds, int) and 5 <= seconds <= 86_400):
        refuse("/heartbeat_seconds", "range", "Between 5 and 86,400 seconds.")
