"""Choosing what a policy or a stop is about: from a list, or by identifier."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

from arm import ids
from arm.models import Tenant, User
from arm.permissions import allowed, visible
from arm.rights import Right
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Provider,
    RoleDefinition,
)

LISTED = 200
"""As many rows of a kind as a choice offers; the rest is named by its identifier."""

SCOPES: dict[str, tuple[str, QuerySet[Any]]] = {
    "env": ("Environments", Environment.objects.order_by("position")),
    "prov": ("Providers", Provider.objects.order_by("slug")),
    "rol": ("Roles", RoleDefinition.objects.order_by("slug")),
    "tpl": ("Agents", AgentTemplate.objects.order_by("name")),
    "slt": ("Slots", DeploymentSlot.objects.select_related("role", "environment")),
    "ver": ("Versions", AgentVersion.objects.select_related("template")),
    "ins": ("Instances", AgentInstance.objects.select_related("template", "environment", "provider")),
}
"""TypeID prefix → heading and rows of everything that a policy or a stop can be about."""


def seen_with_any(rows: QuerySet[Any], actor: User, rights: Iterable[Right]) -> QuerySet[Any]:
    """The rows on which the actor holds one of the rights."""
    found = [visible(rows, actor, right) for right in rights]
    return reduce(or_, found)


def scope_by_id(text: str, tenant: Tenant, actor: User, *rights: Right) -> Model:
    """The thing that this identifier names, if the actor holds one of the rights (else: may see it) on it.
    ValidationError otherwise."""
    rights = rights or (Right.READ_DIRECTORY,)
    prefix = text.rpartition("_")[0]
    if prefix == Tenant.prefix:
        own = text == ids.encode(Tenant.prefix, tenant.pk)
        if own and any(allowed(actor, right, tenant) for right in rights):
            return tenant
    elif prefix in SCOPES:
        try:
            pk = ids.decode(prefix, text)
        except ValueError as problem:
            raise ValidationError(str(problem)) from problem
        rows: QuerySet[Any] = SCOPES[prefix][1]
        if found := seen_with_any(rows.filter(pk=pk), actor, rights).first():
            return found  # type: ignore[no-any-return]
    else:
        raise ValidationError(
            f"Name it by an identifier: {', '.join(f'{each}_…' for each in (Tenant.prefix, *SCOPES))}."
        )
    raise ValidationError("There is no such row, or you may not do this to it.")


class ScopeField(forms.ChoiceField):
    """The tenant and what lies below it, as far as the actor holds a right there; instances and versions are
    named by identifier."""

    def offer(self, tenant: Tenant, actor: User, rights: tuple[Right, ...], kinds: tuple[str, ...]) -> None:
        groups: list[Any] = [("", "Choose, or name an identifier below")]
        if any(allowed(actor, right, tenant) for right in rights):
            groups.append(("Tenant", [(ids.encode(Tenant.prefix, tenant.pk), f"{tenant} (everything)")]))
        for kind in kinds:
            label, rows = SCOPES[kind]
            found = [(row.typeid, str(row)) for row in seen_with_any(rows, actor, rights)[:LISTED]]
            if found:
                groups.append((label, found))
        self.choices = groups


class ScopeForm(forms.Form):
    """Chooses one scope: from the list, or by identifier."""

    rights: tuple[Right, ...] = (Right.READ_DIRECTORY,)
    listed: tuple[str, ...] = ("env", "prov", "rol", "tpl", "slt")

    scope = ScopeField(required=False, label="Scope")
    named = forms.CharField(
        required=False,
        max_length=60,
        label="Or by identifier",
        help_text="Such as ins_… or ver_…, as shown on its page.",
    )

    def __init__(self, *args: Any, tenant: Tenant, actor: User, **kwargs: Any) -> None:
        self.tenant, self.actor = tenant, actor
        super().__init__(*args, **kwargs)
        field: Any = self.fields["scope"]
        field.offer(tenant, actor, self.rights, self.listed)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "scope" in cleaned:
            named, chosen = str(cleaned.get("named", "")).strip(), cleaned["scope"]
            if bool(named) is bool(chosen):
                self.add_error("scope", "Choose a scope, or name one by its identifier; one of the two.")
            else:
                try:
                    cleaned["target"] = self.found(named or chosen)
                except ValidationError as problem:
                    self.add_error("named" if named else "scope", problem)
        return cleaned

    def found(self, text: str) -> Model:
        return scope_by_id(text, self.tenant, self.actor, *self.rights)
