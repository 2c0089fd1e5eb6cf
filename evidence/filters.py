"""What the list of leaves is asked for."""

import django_filters
from django.db.models import QuerySet

from arm import ids

from .models import Leaf


class LeafFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The leaf of one record, or of a place."""

    record = django_filters.CharFilter(method="of_record", label="Record (chg_…)")
    seq = django_filters.NumberFilter(label="Number", min_value=0)

    class Meta:
        model = Leaf
        fields: list[str] = []

    def of_record(self, leaves: QuerySet[Leaf], _: str, text: str) -> QuerySet[Leaf]:
        try:
            return leaves.filter(kind="change", subject_id=ids.decode("chg", text.strip()))
        except ValueError:
            return leaves.none()
