"""How machines ask for lists: every filter that cannot be understood is refused by name; streams are paged by key."""

from datetime import timedelta
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import django_filters
from django.db.models import Model
from rest_framework import request
from rest_framework.views import APIView

from arm import ids
from arm.api import Page, ScopedViewSet
from arm.errors import Invalid, Problem
from registry.filters import TypeIDFilter

from ..queries import told_by

M = TypeVar("M", bound=Model)
MILLISECOND = timedelta(milliseconds=1)


class AskedViewSet(ScopedViewSet[M]):
    """A list whose question is checked whole: 422 names every unknown, malformed or contradictory member of it.

    A filter set for people reads an identifier that is not well formed as “nothing”; a program should hear of it.
    """

    of_every_list: ClassVar[frozenset[str]] = frozenset({"cursor", "page_size", "format"})
    filterset_class: type[django_filters.FilterSet]

    def filter_queryset(self, queryset: Any) -> Any:
        asked = self.request.query_params
        question = self.filterset_class(asked, queryset=queryset, request=self.request)
        known = {*question.filters, *self.of_every_list}
        wrong = [
            _problem(name, "unknown", "There is no such filter.") for name in sorted(asked.keys() - known)
        ]
        for name, found in question.filters.items():
            if isinstance(found, TypeIDFilter) and (text := asked.get(name, "").strip()):
                try:
                    ids.decode(found.prefix, text)
                except ValueError as reason:
                    wrong.append(_problem(name, "invalid", str(reason)))
        for name, errors in question.errors.as_data().items():
            wrong += [_problem(name, str(e.code or "invalid"), " ".join(e.messages)) for e in errors]
        if wrong:
            raise Invalid("The question has wrong members.", wrong)
        return question.qs


def _problem(name: str, code: str, message: str) -> Problem:
    return Problem(pointer="" if name == "__all__" else f"/{name}", code=code, message=message)


class StreamPage(Page):
    """Newest first by a key that begins with its time, so that a page opens the partitions it is in and no others."""

    def paginate_queryset(
        self, queryset: Any, request: request.Request, view: APIView | None = None
    ) -> list[Any] | None:
        cursor = self.decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            at = told_by(UUID(str(cursor.position)))
            bound = {"occurred_at__gte": at} if cursor.reverse else {"occurred_at__lt": at + MILLISECOND}
            queryset = queryset.filter(**bound)
        return super().paginate_queryset(queryset, request, view)
