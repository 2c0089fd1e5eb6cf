"""Saved views in the admin: one's own and what is shared; who manages the directory takes sharing back."""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from arm import services
from arm.admin.base import ScopedAdmin
from arm.admin.commands import AdminCommand
from arm.admin.people import ReasonOnly
from arm.listing import seen_views
from arm.models import SavedView
from arm.rights import Right


@admin.register(SavedView)
class SavedViewAdmin(ScopedAdmin):
    view_right = Right.READ_DIRECTORY
    list_display = ("name", "list_name", "owner", "shared", "changed_at")
    list_select_related = ("owner",)
    list_filter = ("shared", "list_name")
    search_fields = ("name",)
    fields = readonly_fields = ("name", "list_name", "query", "owner", "shared", "created_at", "changed_at")
    commands = (
        AdminCommand(
            "take_back",
            "Take back the sharing",
            Right.MANAGE_DIRECTORY,
            lambda row, actor, cleaned: services.change_view(
                view=row, actor=actor, shared=False, reason=cleaned["reason"]
            ),
            ReasonOnly,
            "The views stay with their owners; nobody else finds them, and no list opens with them.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return seen_views(request.user)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if obj is None:
            return super().has_view_permission(request)
        return self.get_queryset(request).filter(pk=obj.pk).exists()
