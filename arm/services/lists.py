"""Saved views: a person's questions to lists, shared with the tenant or not."""

from typing import Any

from django.db import transaction

from arm import changes, clock
from arm.errors import Conflict, Invalid, NotAllowed, NotFound, Problem
from arm.listing import Asker, Listing, canonical, listings, seen_views
from arm.models import DefaultView, SavedView, Tenant, User
from arm.permissions import allowed, require, require_anywhere
from arm.rights import Right

MOST = 100
"""Views of one person on one list."""
LONGEST = 2000


@transaction.atomic
def save_view(
    *,
    tenant: Tenant,
    list_name: str,
    name: str,
    query: str,
    actor: User,
    shared: bool = False,
    reason: str = "",
) -> SavedView:
    """Keep a question to a list under a name. Invalid names every parameter that the list does not know.

    Sharing takes the right that opens the list, on the whole tenant. What others may use is recorded.
    """
    listing = _listing(list_name)
    require_anywhere(actor, listing.right, f"open {listing.label}")
    if shared:
        require(actor, listing.right, tenant)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    mine = SavedView.objects.filter(tenant=tenant, owner=actor, list_name=list_name)
    if mine.count() >= MOST:
        raise Conflict(f"You keep {MOST} views of {listing.label}; delete one first.")
    view = SavedView(
        tenant=tenant,
        owner=actor,
        list_name=list_name,
        name=_name(name, mine),
        query=_question(query, listing, actor, tenant),
        shared=shared,
    )
    view.save(force_insert=True)
    if shared:
        changes.record(actor, "arm.view.shared", view, after=_facts(view), reason=reason)
    return view


@transaction.atomic
def change_view(
    *,
    view: SavedView,
    actor: User,
    name: str | None = None,
    query: str | None = None,
    shared: bool | None = None,
    reason: str = "",
) -> SavedView:
    """Rename one's own view, give it another question, share it or take it back.

    Who manages the directory may take back what somebody else has shared, and nothing more.
    """
    view = _locked(view, actor)
    before, was_shared = _facts(view), view.shared
    if view.owner_id != actor.pk:
        if name is not None or query is not None or shared is not False:
            raise NotAllowed(f"“{view}” is {view.owner}'s; save one of your own.")
        require(actor, Right.MANAGE_DIRECTORY, view.tenant)
    if name is not None and name.strip() != view.name:
        others = SavedView.objects.filter(owner=view.owner_id, list_name=view.list_name).exclude(pk=view.pk)
        view.name = _name(name, others)
    if query is not None:
        view.query = _question(query, _listing(view.list_name), actor, view.tenant)
    if shared is not None:
        view.shared = shared
    if _facts(view) == before:
        return view
    if view.shared:
        require(actor, _listing(view.list_name).right, view.tenant)
    verb = "changed" if was_shared == view.shared else "shared" if view.shared else "unshared"
    after = _facts(view)
    if was_shared and not view.shared:
        after["default_of"] = _end_defaults(view, but=view.owner_id)
    view.changed_at = clock.now()
    view.save(update_fields=["name", "query", "shared", "changed_at"])
    if was_shared or view.shared:
        changes.record(actor, f"arm.view.{verb}", view, before=before, after=after, reason=reason)
    return view


@transaction.atomic
def delete_view(*, view: SavedView, actor: User, reason: str = "") -> list[str]:
    """End one's own view; or, managing the directory, one that is shared. Returns whose lists opened with it."""
    view = _locked(view, actor)
    if view.owner_id != actor.pk:
        require(actor, Right.MANAGE_DIRECTORY, view.tenant)
    lost = _end_defaults(view)
    if view.shared:
        facts = {**_facts(view), "default_of": lost}
        changes.record(actor, "arm.view.deleted", view, before=facts, reason=reason)
    view.delete()
    return lost


@transaction.atomic
def set_default_view(*, view: SavedView, actor: User, on: bool = True) -> None:
    """The list opens with this view for the actor, or no longer does. Nobody else is concerned."""
    view = _locked(view, actor)
    mine = DefaultView.objects.filter(tenant=view.tenant_id, user=actor, list_name=view.list_name)
    if not on:
        mine.filter(view=view).delete()
        return
    DefaultView.objects.update_or_create(
        tenant_id=view.tenant_id, user=actor, list_name=view.list_name, defaults={"view": view}
    )


def may_share(actor: User, listing: Listing, tenant: Tenant) -> bool:
    """Whether `save_view` would let the actor share a view of this list."""
    return allowed(actor, listing.right, tenant)


def _locked(view: SavedView, actor: User) -> SavedView:
    """The view as it is now, if it is the actor's to see; NotFound otherwise."""
    held = SavedView.objects.select_for_update().filter(pk=view.pk).only("pk")
    found = (
        seen_views(actor).select_related("owner", "tenant").filter(pk__in=[row.pk for row in held]).first()
    )
    if found is None:
        raise NotFound("There is no such view, or it is not yours to see.")
    if found.owner_id != actor.pk and (listing := listings().get(found.list_name)):
        require_anywhere(actor, listing.right, f"open {listing.label}")  # by which it is seen
    return found


def _end_defaults(view: SavedView, but: Any = None) -> list[str]:
    """Nobody's list opens with it any more, `but` this person's. Returns the user names."""
    rows = DefaultView.objects.filter(view=view).exclude(user=but).select_related("user")
    names = sorted(row.user.username for row in rows)
    DefaultView.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return names


def _facts(view: SavedView) -> dict[str, Any]:
    return {"list": view.list_name, "name": view.name, "query": view.query, "shared": view.shared}


def _listing(name: str) -> Listing:
    listing = listings().get(name)
    if listing is None:
        message = f"There is no list “{name}” that keeps views."
        raise Invalid(message, [Problem(pointer="/list", code="unknown", message=message)])
    return listing


def _name(name: str, others: Any) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= 80:
        message = "A view has a name of at most 80 characters."
        raise Invalid(message, [Problem(pointer="/name", code="required", message=message)])
    if others.filter(name=name).exists():
        message = f"You have a view “{name}” of this list already."
        raise Conflict(message, errors=[Problem(pointer="/name", code="unique", message=message)])
    return name


def _question(query: str, listing: Listing, actor: User, tenant: Tenant) -> str:
    asked = canonical(query)
    if len(asked) > LONGEST or "\0" in asked or "%00" in asked:
        message = f"A view asks in at most {LONGEST} characters."
        raise Invalid(message, [Problem(pointer="/query", code="too_long", message=message)])
    if wrong := listing.problems(asked, Asker(actor, tenant)):
        raise Invalid(
            f"{listing.label} cannot be asked this: " + " ".join(p["message"] for p in wrong), wrong
        )
    return asked
