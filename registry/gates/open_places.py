"""Whether something new may begin at a place: its slot and its provider are open, and the tenant allows the provider."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import OuterRef, Subquery

from ..models import AgentInstance, DeploymentSlot, DirectoryRules, Provider
from . import Verdict
from .many import Pairs


def why_not_at(provider: Provider) -> str:
    """Why nothing new begins at the provider, as a sentence; nothing where it may."""
    return why_not_at_all([provider])[provider.pk]


def why_not_at_all(providers: Iterable[Provider]) -> dict[UUID, str]:
    """The same of many, by key, with one statement for all of them."""
    named = {provider.pk: provider for provider in providers}
    rules = DirectoryRules.objects.filter(tenant=OuterRef("tenant")).values("allowed_providers")
    rows = Provider.objects.filter(pk__in=named).annotate(allowed=Subquery(rules))
    return {
        key: _why_not(named[key], closed, allowed)  # closed as it is now
        for key, closed, allowed in rows.values_list("pk", "closed_at", "allowed")
    }


def _why_not(provider: Provider, closed: datetime | None, allowed: Sequence[str] | None) -> str:
    if closed is not None:
        return f"{provider} was closed on {closed:%Y-%m-%d}: nothing new begins there."
    if allowed and provider.slug not in allowed:
        return f"{provider} is not among the providers that are allowed here: {', '.join(sorted(allowed))}."
    return ""


class PlaceOpen:
    """Before a binding and before Active: the slot was not closed, and the provider takes something new. What works there
    already may again after a pause."""

    name = "place open"

    def check(self, subject: DeploymentSlot | AgentInstance, to: Any = None) -> Verdict:
        if isinstance(subject, AgentInstance) and subject.has_worked():
            return Verdict(self.name, True, "It has worked there before.", applies=False)
        return self._verdict(subject, why_not_at(subject.provider))

    def check_all(self, pairs: Pairs) -> list[Verdict]:
        """As a gate of bindings, of many."""
        said = why_not_at_all(slot.provider for slot, _ in pairs)
        return [self._verdict(slot, said[slot.provider.pk]) for slot, _ in pairs]

    def _verdict(self, subject: DeploymentSlot | AgentInstance, said: str) -> Verdict:
        if isinstance(subject, DeploymentSlot) and subject.closed_at is not None:
            said = f"{subject} was closed on {subject.closed_at:%Y-%m-%d}."
            return Verdict(self.name, False, said, subject.get_absolute_url())
        mend = subject.provider.get_absolute_url() if said else ""
        return Verdict(self.name, not said, said or f"{subject.provider} takes something new.", mend)
