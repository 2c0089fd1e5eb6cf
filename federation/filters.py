"""Filters of clients and commands: the page, the API and the CSV ask the same questions."""

import django_filters

from registry.filters import TypeIDFilter

from .models import Command, ProviderClient
from .protocol.commands import CommandState


class ClientFilter(django_filters.FilterSet):  # type: ignore[misc]
    status = django_filters.ChoiceFilter(choices=ProviderClient.Status.choices, label="Status")
    provider = django_filters.CharFilter(field_name="provider__slug", label="Provider (short name)")

    class Meta:
        model = ProviderClient
        fields: list[str] = []


class CommandFilter(django_filters.FilterSet):  # type: ignore[misc]
    state = django_filters.MultipleChoiceFilter(choices=CommandState.choices, label="State")
    provider = django_filters.CharFilter(field_name="provider__slug", label="Provider (short name)")
    instance = TypeIDFilter("ins", field_name="instance", label="Instance (ins_…)")

    class Meta:
        model = Command
        fields: list[str] = []
