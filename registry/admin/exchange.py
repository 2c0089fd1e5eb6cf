"""Whose signatures on agent cards are believed, and tables that were sent, in the admin."""

from django.contrib import admin

from arm.admin import AdminCommand, ReasonOnly, ScopedAdmin
from arm.rights import Right

from .. import services
from ..models import CardKeySource, TableImport


@admin.register(CardKeySource)
class CardKeySourceAdmin(ScopedAdmin):
    view_right = Right.MANAGE_TENANT
    list_display = ("url", "internal", "since", "until", "created_by")
    list_select_related = ("created_by",)
    list_filter = (("until", admin.EmptyFieldListFilter), "internal")
    search_fields = ("url",)
    fields = readonly_fields = list_display
    export_columns = (("id", "typeid"), ("address", "url"), ("since", "since"), ("until", "until"))
    commands = (
        AdminCommand(
            "end_card_keys",
            "Believe them no more",
            Right.MANAGE_TENANT,
            lambda row, actor, cleaned: services.end_card_keys(source=row, actor=actor, **cleaned),
            ReasonOnly,
        ),
    )


@admin.register(TableImport)
class TableImportAdmin(ScopedAdmin):
    """To look at; tables are sent and applied in the console."""

    view_right = Right.READ_DIRECTORY
    list_display = ("file_name", "kind", "state", "total", "done", "bad", "created_by", "created_at")
    list_select_related = ("created_by",)
    list_filter = ("state", "kind")
    search_fields = ("file_name", "digest")
    fields = readonly_fields = (*list_display, "digest", "reason", "finished_at")
    export_columns = (("id", "typeid"), ("file", "file_name"), ("state", "state"), ("rows", "total"))
