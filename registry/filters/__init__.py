"""One filter set per list: the page, the API, the CSV and a saved view ask the same questions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import OuterRef, Q, QuerySet, Subquery

from arm import clock, ids
from arm.filters import TickBox, YesNo
from arm.keys import Among
from arm.models import User
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
from .questions import (
    AgentQuestions,
    InstanceQuestions,
    VersionQuestions,
    owned_by,
    risks,
    seen,
)
from .questions import SlugFilter as SlugFilter
from .questions import environments as environments


def providers(request: Any) -> QuerySet[Provider]:
    """The providers that the visitor may filter by."""
    return seen(Provider.objects.order_by("slug"), request)


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

    The first that few have narrows them by its index, the longest asked first.
    """
    words = words_of(text)
    if not words:
        return rows.none()
    rare = ""
    for word in sorted(words, key=len, reverse=True):
        few = InstanceWord.objects.few(word)
        if few is not None:
            rare, rows = word, rows.filter(Q(Among("pk", few)))
            break
    for word in words:
        if word != rare:
            has = Q(name__iregex=begins(word))
            rows = rows.filter(has if rare else queries.of_many(has))
    return rows


def by_words(rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """Instances by identifier, or by words of their names."""
    if text.startswith("ins_"):
        return TypeIDFilter("ins", field_name="pk").filter(rows, text)
    return having_words(rows, text)


class SearchSet(django_filters.FilterSet):  # type: ignore[misc]
    """`q` over the texts that `searched` names, and over identifiers with the set's prefix."""

    searched: tuple[str, ...] = ()
    leading: tuple[str, ...] = ()
    """Filters that stand first, after the search; the rest as they are declared."""
    q = _search()

    def __init__(self, data: Any = None, *args: Any, **kwargs: Any) -> None:
        """A filter without a value is no filter."""
        if data is not None:
            data = data.copy()
            for name in [name for name in data if not any(data.getlist(name))]:
                del data[name]
        super().__init__(data, *args, **kwargs)

    @property
    def form(self) -> forms.Form:
        form: forms.Form = super().form
        form.order_fields(["q", *self.leading])
        return form

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


class TemplateFilter(AgentQuestions, SearchSet):
    searched = ("name", "slug", "description", "intended_use")
    leading = ("risk", "newest", "owner")

    risk = risks()
    newest = django_filters.MultipleChoiceFilter(
        method="newest_is",
        choices=[*VersionState.choices, ("none", "No version yet")],
        widget=forms.CheckboxSelectMultiple,
        label="Newest version",
    )
    tag = django_filters.CharFilter(method="tagged", label="Tag")
    owner = django_filters.CharFilter(method="owned", label="Owner (user name)")
    ownerless = YesNo(method="nobodys", label="Nobody answers for it", widget=TickBox)
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
        return queries.ownerless(rows, wanted=value)

    def owned(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return owned_by(rows, value)


class VersionFilter(VersionQuestions, SearchSet):
    searched = ("label",)
    leading = ("state", "risk", "environment")

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
    production = YesNo(method="in_production", label="Runs in production", widget=TickBox)
    tampered = YesNo(method="was_tampered", label="Tampered", widget=TickBox)
    rebind = django_filters.ChoiceFilter(
        method="to_rebind",
        label="Slots still bind it",
        choices=[("due", "To be rebound"), ("overdue", "Past the due date")],
    )
    approval = django_filters.ChoiceFilter(
        method="to_approve", label="Approval", choices=[("mine", "Waits for mine")]
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

    def to_approve(self, rows: Any, name: str, value: str) -> Any:
        user = getattr(self.request, "user", None)
        return queries.waiting_for(rows, user) if isinstance(user, User) else rows.none()

    def was_tampered(self, rows: Any, name: str, value: bool) -> Any:
        return rows.tampered() if value else rows.exclude(pk__in=AgentVersion.objects.tampered().values("pk"))

    def in_production(self, rows: Any, name: str, value: bool) -> Any:
        if value:
            return rows.in_production()
        return rows.exclude(pk__in=AgentVersion.objects.in_production().values("pk"))

    def using(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(pk__in=Dependency.objects.filter(name=value.strip()).values("version"))


class InstanceFilter(InstanceQuestions, SearchSet):
    leading = ("state", "environment", "environment_kind", "provider", "heartbeat", "risk")

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
    adopted = YesNo(
        label="Taken over as it ran",
        widget=forms.Select(choices=[("", "any"), ("true", "yes"), ("false", "no")]),
    )

    class Meta:
        model = AgentInstance
        fields: list[str] = []

    def search(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """By identifier, or by how words of the name begin; several words must all be there."""
        return by_words(rows, value)

    def using(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(version__in=Dependency.objects.filter(name=value.strip()).values("version"))

    def heard(self, rows: QuerySet[Any], name: str, value: list[str]) -> QuerySet[Any]:
        if not value:
            return rows
        matching = AgentInstance.objects.all().heard_as(clock.now(), value)
        return rows.filter(pk__in=matching.values("pk"))


class DependencyFilter(SearchSet):
    """Who uses what: `q` over the names of tools, models, datasets, prompts and agents. Agents that are spawned are
    things by identifier: theirs are resolved first, the newest `AGENTS` of that name or short name."""

    searched = ("name",)
    AGENTS = 1_000

    kind = django_filters.MultipleChoiceFilter(
        choices=Dependency.Kind.choices, widget=forms.CheckboxSelectMultiple, distinct=False
    )

    class Meta:
        model = Thing
        fields: list[str] = []

    def search(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        by_name: QuerySet[Any] = super().search(rows, name, value)
        if value.startswith(("thg_", "tpl_")):
            return by_name
        called = Q(name__icontains=value) | Q(slug__icontains=value)
        agents = seen(AgentTemplate.objects.filter(called), self.request).order_by("-pk")
        keys = [ids.encode("tpl", key) for key in agents.values_list("pk", flat=True)[: self.AGENTS]]
        theirs = Q(kind=Dependency.Kind.AGENT, name__in=keys)
        return rows.filter(Q(name__icontains=value) | theirs) if keys else by_name


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
