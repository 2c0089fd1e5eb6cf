"""One filter set per list: the page, the API, the CSV and a saved view ask the same questions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import OuterRef, Q, QuerySet, Subquery
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from arm import clock, ids
from arm.panels import seen_by_visitor
from arm.rights import Right, Risk
from evidence.lifecycle import ArtefactKind, ArtefactState

from .. import queries
from ..lifecycle import InstanceState, VersionState
from ..models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    Dependency,
    DeploymentSlot,
    Environment,
    Genome,
    Heartbeat,
    InstanceWord,
    Ownership,
    Provider,
    Thing,
    VersionEvidence,
    begins,
    words_of,
)


def environments(request: Any) -> QuerySet[Environment]:
    """The environments that the visitor may filter by."""
    return _seen(Environment.objects.order_by("position"), request)


def providers(request: Any) -> QuerySet[Provider]:
    """The providers that the visitor may filter by."""
    return _seen(Provider.objects.order_by("slug"), request)


def _seen(rows: QuerySet[Any], request: Any) -> QuerySet[Any]:
    return seen_by_visitor(rows, request, Right.READ_DIRECTORY) if request else rows.none()


@extend_schema_field(OpenApiTypes.STR)
class SlugFilter(django_filters.ModelMultipleChoiceFilter):  # type: ignore[misc]
    """Any of several rows, each named by its slug."""


def among(place: str, rows: Callable[[Any], QuerySet[Any]]) -> SlugFilter:
    """Any of the environments, or providers, that the visitor may see."""
    return SlugFilter(
        field_name=f"{place}__slug",
        label=place.title(),
        queryset=rows,
        to_field_name="slug",
        widget=forms.CheckboxSelectMultiple,
        distinct=False,
    )


class TypeIDFilter(django_filters.CharFilter):  # type: ignore[misc]
    """A shown identifier; one that is not well formed matches nothing rather than everything."""

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        super().__init__(**kwargs)

    def filter(self, rows: QuerySet[Any], value: str) -> QuerySet[Any]:
        if not value:
            return rows
        try:
            pk: UUID = ids.decode(self.prefix, value.strip())
        except ValueError:
            return rows.none()
        return rows.filter(**{self.field_name: pk})


def _date() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"})


def _search(**more: Any) -> django_filters.CharFilter:
    return django_filters.CharFilter(method="search", label="Search", max_length=200, **more)


def having_words(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """The instances whose names have a word that begins as each word of the text; none for a text without words.

    The longest word narrows them by its index, where few have it.
    """
    words = words_of(text)
    if not words:
        return rows.none()
    longest = max(words, key=len)
    few = InstanceWord.objects.few(longest)
    if few is not None:
        rows = rows.filter(pk__in=few)
    for word in words:
        if few is None or word != longest:
            rows = rows.filter(name__iregex=begins(word))
    return rows


class SearchSet(django_filters.FilterSet):  # type: ignore[misc]
    """`q` over the texts that `searched` names, and over identifiers with the set's prefix."""

    searched: tuple[str, ...] = ()
    q = _search()

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        """A filter without a value is no filter."""
        if data is not None:
            data = data.copy()
            for name in [name for name in data if not any(data.getlist(name))]:
                del data[name]
        super().__init__(data, *args, **kwargs)

    def search(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        prefix = rows.model.prefix
        if value.startswith(f"{prefix}_"):
            return TypeIDFilter(prefix, field_name="pk").filter(rows, value)
        wanted = Q()
        for path in self.searched:
            relation, _, field = path.rpartition("__")
            if (
                relation
            ):  # related rows are few: found once, where a join would look at their text for every row
                related = rows.model._meta.get_field(relation).related_model
                found = related._default_manager.filter(**{f"{field}__icontains": value})
                wanted |= Q(**{f"{relation}__in": found.order_by().values("pk")})
            else:
                wanted |= Q(**{f"{path}__icontains": value})
        return rows.filter(wanted)


class TemplateFilter(SearchSet):
    searched = ("name", "slug", "description", "intended_use")

    risk = django_filters.MultipleChoiceFilter(
        choices=Risk.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )
    newest = django_filters.MultipleChoiceFilter(
        method="newest_is",
        choices=[*VersionState.choices, ("none", "No version yet")],
        widget=forms.CheckboxSelectMultiple,
        label="Newest version",
    )
    tag = django_filters.CharFilter(method="tagged", label="Tag")
    owner = django_filters.CharFilter(method="owned", label="Owner (user name)")
    ownerless = django_filters.BooleanFilter(
        method="nobodys", label="Nobody answers for it", widget=forms.CheckboxInput
    )
    sort = django_filters.OrderingFilter(fields=["name", "risk", "created_at"])

    class Meta:
        model = AgentTemplate
        fields: list[str] = []

    def search(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """By identifier; else every word of the text stands in what describes the agent, its tags or its owners."""
        if value.startswith("tpl_"):
            return super().search(rows, name, value)
        for word in value.split()[:8]:
            people = Q(user__username__icontains=word) | Q(user__last_name__icontains=word)
            owned = Ownership.objects.filter(people, until=None).values("template")
            found = Q(tags__icontains=word) | Q(pk__in=owned)
            for path in self.searched:
                found |= Q(**{f"{path}__icontains": word})
            rows = rows.filter(found)
        return rows

    def newest_is(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        if not value:
            return rows
        versions = AgentVersion.objects.filter(template=OuterRef("pk")).order_by("-number")
        rows = rows.annotate(newest_state=Subquery(versions.values("state")[:1]))
        wanted = Q(newest_state__in=value)
        return rows.filter(wanted | Q(newest_state=None) if "none" in value else wanted)

    def tagged(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(tags__contains=[value.strip().lower()])

    def nobodys(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        return queries.ownerless(rows) if value else rows

    def owned(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(ownerships__user__username=value.strip(), ownerships__until=None)


class VersionFilter(SearchSet):
    searched = ("label",)

    state = django_filters.MultipleChoiceFilter(
        choices=VersionState.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    digest = django_filters.CharFilter(field_name="genome__digest", label="Genome digest")
    card = django_filters.ChoiceFilter(
        method="with_card",
        label="Agent Card",
        choices=[("verified", "Verified"), ("missing", "None that is verified")],
    )
    production = django_filters.BooleanFilter(
        method="in_production", label="Runs in production", widget=forms.CheckboxInput
    )
    tampered = django_filters.BooleanFilter(
        method="was_tampered", label="Tampered", widget=forms.CheckboxInput
    )
    rebind = django_filters.ChoiceFilter(
        method="to_rebind",
        label="Slots still bind it",
        choices=[("due", "To be rebound"), ("overdue", "Past the due date")],
    )
    uses = django_filters.CharFilter(method="using", label="Uses (tool, model, dataset, agent)")
    created_from = django_filters.DateFilter(
        field_name="created_at", lookup_expr="date__gte", label="Created from", widget=_date()
    )
    created_to = django_filters.DateFilter(
        field_name="created_at", lookup_expr="date__lte", label="Created until", widget=_date()
    )

    class Meta:
        model = AgentVersion
        fields: list[str] = []

    def search(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """By identifier, by label, or by the agent's name: the few agents are found first, not joined to each row."""
        if value.startswith("ver_"):
            return super().search(rows, name, value)
        agents = AgentTemplate.objects.filter(name__icontains=value).values("pk")
        return rows.filter(Q(template__in=agents) | Q(label__icontains=value))

    def with_card(self, rows: Any, name: str, value: str) -> Any:
        return rows.with_card(value)

    def to_rebind(self, rows: Any, name: str, value: str) -> Any:
        bound = DeploymentSlot.objects.exclude(current_version=None).values("current_version")
        held = rows.to_be_rebound().filter(pk__in=bound)
        return held.filter(rebind_by__lte=clock.now()) if value == "overdue" else held

    def was_tampered(self, rows: Any, name: str, value: bool) -> Any:
        return rows.tampered() if value else rows

    def in_production(self, rows: Any, name: str, value: bool) -> Any:
        return rows.in_production() if value else rows

    def using(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(pk__in=Dependency.objects.filter(name=value.strip()).values("version"))


class InstanceFilter(SearchSet):
    searched = ("name",)

    state = django_filters.MultipleChoiceFilter(
        choices=InstanceState.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )
    environment = among("environment", environments)
    provider = among("provider", providers)
    heartbeat = django_filters.MultipleChoiceFilter(
        method="heard", choices=Heartbeat.choices, widget=forms.CheckboxSelectMultiple, label="Heartbeat"
    )
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")
    slot = TypeIDFilter("slt", field_name="slot", label="Slot (slt_…)")
    uses = django_filters.CharFilter(method="using", label="Uses (tool, model, dataset, agent)")

    class Meta:
        model = AgentInstance
        fields: list[str] = []

    def search(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """By identifier, or by how words of the name begin; several words must all be there."""
        if value.startswith("ins_"):
            return super().search(rows, name, value)
        return having_words(rows, value)

    def using(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(version__in=Dependency.objects.filter(name=value.strip()).values("version"))

    def heard(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        if not value:
            return rows
        matching = AgentInstance.objects.all().heard_as(clock.now(), value)
        return rows.filter(pk__in=matching.values("pk"))


class DependencyFilter(SearchSet):
    """Who uses what: `q` over the names of tools, models, datasets, prompts and agents."""

    searched = ("name",)

    kind = django_filters.MultipleChoiceFilter(
        choices=Dependency.Kind.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )

    class Meta:
        model = Thing
        fields: list[str] = []


class SlotFilter(SearchSet):
    searched = ("role__name", "role__slug")

    environment = among("environment", environments)
    provider = among("provider", providers)
    version = TypeIDFilter("ver", field_name="current_version", label="Bound version (ver_…)")

    class Meta:
        model = DeploymentSlot
        fields: list[str] = []


class GenomeFilter(django_filters.FilterSet):  # type: ignore[misc]
    template = TypeIDFilter("tpl", field_name="template", label="Agent (tpl_…)")
    digest = django_filters.CharFilter(field_name="digest", label="Digest")

    class Meta:
        model = Genome
        fields: list[str] = []


class EnvironmentFilter(SearchSet):
    searched = ("name", "slug")

    class Meta:
        model = Environment
        fields: list[str] = []


class ProviderFilter(SearchSet):
    searched = ("name", "slug")
    kind = django_filters.ChoiceFilter(choices=Provider.Kind.choices)

    class Meta:
        model = Provider
        fields: list[str] = []


class EvidenceFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Signed documents by kind, state, and what they are about."""

    kind = django_filters.ChoiceFilter(choices=ArtefactKind)
    state = django_filters.ChoiceFilter(
        method="in_state", choices=[*ArtefactState.choices, ("failed", "Failed")], label="State"
    )
    version = TypeIDFilter("ver", field_name="version", label="Version (ver_…)")
    template = TypeIDFilter("tpl", field_name="version__template", label="Agent (tpl_…)")

    class Meta:
        model = VersionEvidence
        fields: list[str] = []

    def in_state(self, rows: QuerySet[VersionEvidence], _: str, state: str) -> QuerySet[VersionEvidence]:
        if state == "failed":
            return rows.exclude(artefact__problem="")
        return rows.filter(artefact__state=state, artefact__problem="")
