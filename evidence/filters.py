"""What the list of leaves is asked for."""

import django_filters
from django.db.models import QuerySet

from .models import Leaf
from .queries import about


class LeafFilter(django_filters.FilterSet):  # type: ignore[misc]
    """The leaf of one record or document, or of a place."""

    record = django_filters.CharFilter(method="of_record", label="About (chg_… or evd_…)")
    seq = django_filters.NumberFilter(label="Number", min_value=0)

    class Meta:
        model = Leaf
        fields: list[str] = []

    def of_record(self, leaves: QuerySet[Leaf], _: str, text: str) -> QuerySet[Leaf]:
        try:
            return leaves.filter(**about(text.strip()))
        except ValueError:
            return leaves.none()
