"""Lists of partitioned streams: newest first, paged by key, never counted."""

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404

from arm import ids
from arm.views import FilteredList

from ..queries import told_by


class StreamList(FilteredList):
    """`?cursor=` is the identifier of the last row shown; what follows is older. `prefix` is of that identifier."""

    prefix: ClassVar[str]
    paginate_by = None  # type: ignore[assignment]  # by key, below
    shown = 50

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]
        cursor = self.request.GET.get("cursor", "")
        if cursor:
            try:
                key = ids.decode(self.prefix, cursor)
            except ValueError:
                raise Http404 from None
            # The key says when: partitions that are newer are not looked at.
            rows = rows.filter(pk__lt=key, occurred_at__lt=told_by(key) + timedelta(milliseconds=1))
        found = list(rows[: self.shown + 1])
        query = self.request.GET.copy()
        query.pop("cursor", None)
        newest = f"?{query.urlencode()}" if cursor else ""
        following = ""
        if len(found) > self.shown:
            query["cursor"] = found[self.shown - 1].typeid
            following = f"?{query.urlencode()}"
        return super().get_context_data(
            rows=found[: self.shown], newest_url=newest, next_url=following, **kwargs
        )
