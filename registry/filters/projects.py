"""Filter of projects."""

import django_filters

from registry.models import Project

from . import SearchSet


class ProjectFilter(SearchSet):
    searched = ("name", "slug")
    cost_center = django_filters.CharFilter(label="Cost centre")

    class Meta:
        model = Project
        fields: list[str] = []
