"""What a filter bar asks is said in words, and a box shows what was asked."""

from collections.abc import Iterator
from importlib import import_module

import django_filters
import pytest
from django.apps import apps

from arm.moments import MomentInput

for app in apps.get_app_configs():
    if app.label in {"arm", "evidence", "registry", "policy", "telemetry", "costs"}:
        import_module(f"{app.name}.filters")


def sets(above: type = django_filters.FilterSet) -> Iterator[type]:
    """Every filter set of ours that is asked about a model."""
    for found in above.__subclasses__():
        yield from sets(found)
        if not found.__module__.startswith(("django_filters", "rest_framework")) and found._meta.model:
            yield found


@pytest.mark.parametrize("filters", sorted(set(sets()), key=str))
def test_every_filter_has_a_label_in_words(filters):
    for name, one in filters(queryset=filters._meta.model._default_manager.none()).filters.items():
        label = str(one.label)
        assert label[:1].isupper() and "invalid" not in label and "slug" not in label.lower(), (name, label)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("2026-10-30", "2026-10-30T00:00"),
        ("2026-10-30T12:30", "2026-10-30T12:30"),
        ("2026-10-30T12:30:05Z", "2026-10-30T12:30:05"),
        ("2026-10-30T12:30:00+02:00", "2026-10-30T10:30"),
        ("yesterday", "yesterday"),
        ("", ""),
        (None, None),
    ],
)
def test_a_box_for_a_moment_shows_any_form_of_it_in_utc(asked, shown):
    assert MomentInput().format_value(asked) == shown
