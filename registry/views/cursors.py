"""Lists that page by key: the newest rows first, and never a count of everything."""

from typing import Any, ClassVar

from django.http import Http404

from arm.ids import decode
from arm.paging import cut
from arm.views import FilteredList

NEWER = "~"


class CursorList(FilteredList):
    """Like FilteredList for a table that only grows. `?cursor=ver_…` shows what is older, `?cursor=~ver_…` newer.

    Costs one query however many rows there are: a page more is asked for than is shown, to know the neighbours.
    """

    paginate_by = None  # type: ignore[assignment]
    page_size: ClassVar[int] = 50

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        cursor = self.request.GET.get("cursor", "")
        rows: Any = self.object_list
        page = slice(self.page_size + 1)
        if cursor.startswith(NEWER):
            found = cut(rows.filter(pk__gt=self._key(cursor[1:])).order_by("pk"), page)
            newer, older = len(found) > self.page_size, True
            found = found[: self.page_size][::-1]
        else:
            if cursor:
                rows = rows.filter(pk__lt=self._key(cursor))
            found = cut(rows.order_by("-pk"), page)
            newer, older = bool(cursor), len(found) > self.page_size
            found = found[: self.page_size]
        return super().get_context_data(
            object_list=found,
            newer=self._at(f"{NEWER}{found[0].typeid}") if found and newer else "",
            older=self._at(found[-1].typeid) if found and older else "",
            **kwargs,
        )

    def _key(self, shown: str) -> Any:
        rows: Any = self.object_list
        try:
            return decode(rows.model.prefix, shown)
        except ValueError:
            raise Http404 from None

    def _at(self, cursor: str) -> str:
        query = self.request.GET.copy()
        query["cursor"] = cursor
        return f"?{query.urlencode()}"
