"""What lists of agents, versions and instances are asked about one another: whose they are, what they do, where.

Whatever is looked up on the way (agents, roles, projects, teams, places, slots) is what the visitor may see: what they
may not see answers as what is not there.
"""

from typing import Any

import django_filters
from django import forms
from django.db.models import Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from arm import ids
from arm.filters import TickBox, YesNo
from arm.keys import Among
from arm.models import Team
from arm.panels import seen_by_visitor
from arm.rights import Right, Risk

from .. import queries
from ..models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    DeploymentSlot,
    Environment,
    Genome,
    InstanceLabel,
    Ownership,
    Project,
    RoleAssignment,
    RoleDefinition,
)

KINDS = [("production", "Production"), ("other", "Other than production")]
COMPLETE = [("yes", "Nothing is missing"), ("no", "Something required is missing")]


def seen(rows: QuerySet[Any], request: Any) -> QuerySet[Any]:
    """Of these rows, what the visitor sees of the directory; nothing for nobody."""
    return seen_by_visitor(rows, request, Right.READ_DIRECTORY) if request else rows.none()


def seen_teams(request: Any) -> QuerySet[Team]:
    """The teams whose members the visitor may know: their own, and all for who manages the tenant."""
    if not request:
        return Team.objects.none()
    managed = seen_by_visitor(Team.objects.all(), request, Right.MANAGE_TENANT)
    return Team.objects.filter(Q(group__user=request.user.pk) | Q(pk__in=managed.values("pk")))


@extend_schema_field(OpenApiTypes.STR)
class SlugFilter(django_filters.ModelMultipleChoiceFilter):  # type: ignore[misc]
    """Any of several rows, each named by its slug."""


def environments(request: Any) -> QuerySet[Environment]:
    """The environments that the visitor may filter by."""
    return seen(Environment.objects.order_by("position"), request)


def text(label: str, method: str, most: int = 80) -> django_filters.CharFilter:
    return django_filters.CharFilter(method=method, label=label, max_length=most)


def risks(**more: Any) -> django_filters.MultipleChoiceFilter:
    return django_filters.MultipleChoiceFilter(
        choices=Risk.choices, widget=forms.CheckboxSelectMultiple, distinct=False, label="Risk", **more
    )


class OfAgents(django_filters.FilterSet):  # type: ignore[misc]
    """Questions about the agent of each row. They are kept until all are there: the agents are looked up once."""

    risk = risks(method="of_agents")
    owner = text("Owner (user name)", "of_agents", 150)
    team = text("Owned by the team", "of_agents", 120)
    tag = text("Tag of the agent", "of_agents", 60)
    project = text("Project (short name)", "of_agents")

    def of_agents(self, rows: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        """Asked of all agents together by `filter_queryset`."""
        return rows

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().filter_queryset(queryset)
        said = {name: self.form.cleaned_data.get(name) for name in OfAgents.base_filters}
        if not any(said.values()):
            return rows
        agents = seen(AgentTemplate.objects.all(), self.request)
        if said["risk"]:
            agents = agents.filter(risk__in=said["risk"])
        if said["tag"]:
            agents = agents.filter(tags__contains=[said["tag"].strip().lower()])
        if said["owner"]:
            agents = owned_by(agents, said["owner"])
        if said["team"]:
            agents = owned_by_team(agents, said["team"], self.request)
        if said["project"]:
            agents = in_project(agents, said["project"], self.request)
        return queries.narrowed(rows, "template", agents.values_list("pk"), most=queries.MANY)


def owned_by(agents: QuerySet[AgentTemplate], name: str) -> QuerySet[AgentTemplate]:
    """The agents that the person with this user name answers for now."""
    held = Ownership.objects.filter(user__username=name.strip(), until=None)
    return agents.filter(pk__in=held.values("template"))


def owned_by_team(agents: QuerySet[AgentTemplate], name: str, request: Any) -> QuerySet[AgentTemplate]:
    """The agents that somebody in this team answers for now, where the visitor may know who is in it."""
    teams = seen_teams(request).filter(name=name.strip())
    held = Ownership.objects.filter(user__groups__in=teams.values("group"), until=None)
    return agents.filter(pk__in=held.values("template"))


def in_project(agents: QuerySet[AgentTemplate], slug: str, request: Any) -> QuerySet[AgentTemplate]:
    projects = seen(Project.objects.filter(slug=slug.strip()), request)
    return agents.filter(project__in=projects.values("pk"))


def roles_named(value: str, request: Any) -> QuerySet[RoleDefinition]:
    """The role with this short name or identifier, where the visitor sees it; else none."""
    named = value.strip()
    by: dict[str, Any] = {"slug": named}
    if named.startswith("rol_"):
        try:
            by = {"pk": ids.decode("rol", named)}
        except ValueError:
            return RoleDefinition.objects.none()
    return seen(RoleDefinition.objects.filter(**by), request)


def role_named(value: str, request: Any) -> RoleDefinition | None:
    return roles_named(value, request).first()


def _assigned(request: Any) -> QuerySet[RoleAssignment]:
    return seen(RoleAssignment.objects.in_force(), request)


def _slots(request: Any) -> QuerySet[DeploymentSlot]:
    return seen(DeploymentSlot.objects.order_by(), request)


class AgentQuestions(django_filters.FilterSet):  # type: ignore[misc]
    """Of agents: the team that owns them, their project, the role that their versions or instances do."""

    team = text("Owned by the team", "teamed", 120)
    project = text("Project (short name)", "projected")
    role = text("Does the role (short name)", "does")

    def teamed(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return owned_by_team(rows, value, self.request)

    def projected(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return in_project(rows, value, self.request)

    def does(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        roles, working = (
            roles_named(value, self.request),
            seen(AgentInstance.objects.order_by(), self.request),
        )
        return queries.agents_doing(rows, roles, _slots(self.request), _assigned(self.request), working)


class VersionQuestions(OfAgents):
    """Of versions: where they are bound, for which role, how complete their genome is, whether they were rolled back."""

    environment = SlugFilter(
        method="bound_in", label="Bound in", queryset=environments, to_field_name="slug",
        widget=forms.CheckboxSelectMultiple, distinct=False,
    )  # fmt: skip
    slot = text("Bound by the slot (slt_…)", "bound_by")
    role = text("Does the role (short name)", "does")
    complete = django_filters.ChoiceFilter(method="is_complete", label="Required members", choices=COMPLETE)
    completeness_from = django_filters.NumberFilter(
        method="at_least", label="Completeness, at least %", min_value=0, max_value=100
    )
    completeness_to = django_filters.NumberFilter(
        method="at_most", label="Completeness, at most %", min_value=0, max_value=100
    )
    rolled_back = YesNo(method="was_rolled_back", label="Rolled back", widget=TickBox)

    def bound_in(self, rows: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        if not value:
            return rows
        slots = _slots(self.request).filter(environment__in=[place.pk for place in value])
        return _bound(rows, slots)

    def bound_by(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        try:
            key = ids.decode("slt", value.strip())
        except ValueError:
            return rows.none()
        return _bound(rows, _slots(self.request).filter(pk=key))

    def does(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        roles = roles_named(value, self.request)
        return queries.versions_doing(rows, roles, _slots(self.request), _assigned(self.request))

    def is_complete(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value == "yes":
            return rows.filter(genome__missing=[])
        lacking = Genome.objects.exclude(missing=[])
        return queries.narrowed(rows, "genome", lacking.values_list("pk"), else_=~Q(genome__missing=[]))

    def at_least(self, rows: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        found = Genome.objects.filter(completeness__gte=value)
        asked = Q(genome__completeness__gte=value)
        return queries.narrowed(rows, "genome", found.values_list("pk"), else_=asked)

    def at_most(self, rows: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        found = Genome.objects.filter(completeness__lte=value)
        asked = Q(genome__completeness__lte=value)
        return queries.narrowed(rows, "genome", found.values_list("pk"), else_=asked)

    def was_rolled_back(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        return rows.filter(rolled_back=value)


def _bound(rows: QuerySet[AgentVersion], slots: QuerySet[DeploymentSlot]) -> QuerySet[AgentVersion]:
    return queries.narrowed(
        rows, "pk", slots.exclude(current_version=None).values_list("current_version").distinct()
    )


class InstanceQuestions(OfAgents):
    """Of instances: their role, what they cost whom, their labels, and what kind of environment they work in."""

    role = text("Does the role (short name)", "does")
    cost_center = django_filters.CharFilter(method="charged", label="Cost centre", max_length=80)
    label = text("Label (name, or name=value)", "labelled", 401)
    environment_kind = django_filters.ChoiceFilter(
        method="in_kind", label="Kind of environment", choices=KINDS
    )

    def does(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        role = role_named(value, self.request)
        return rows.none() if role is None else queries.instances_doing(rows, role, _assigned(self.request))

    def charged(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows.filter(cost_center=value.strip())

    def labelled(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        key, has_value, wanted = (part.strip() for part in value.partition("="))
        if not key:
            return rows.none()
        few = InstanceLabel.objects.few(key, wanted if has_value else None)
        if few is not None:
            rows = rows.filter(Q(Among("pk", few)))
        return rows.filter(labels__contains={key: wanted}) if has_value else rows.filter(labels__has_key=key)

    def in_kind(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        places = environments(self.request).filter(production=value == "production")
        return rows.filter(environment__in=list(places.values_list("pk", flat=True)))
