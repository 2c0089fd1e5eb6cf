"""Make the database ready for this code: roles, migrations, privileges, first partitions, schedules. Repeatable."""

from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, call_command
from django.db import connections
from django.utils.module_loading import import_string

from arm import db
from arm.pg.base import role_name, role_password
from arm.services import renew_bindings


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        prepare("owner", verbosity=options["verbosity"])
        if renewed := renew_bindings():
            self.stderr.write(f"{renewed} role bindings have the rights of this version now")


def prepare(alias: str, *, verbosity: int = 1) -> None:
    """Everything that must be true before a process of this version starts, on the owner's `alias`."""
    owner = connections[alias]
    with owner.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(7265701)")  # one migration at a time, whoever starts first
    try:
        db.ensure_roles(owner, {role_name(role): role_password(role) for role in ("app", "ingest")})
        call_command("migrate", database=alias, interactive=False, verbosity=verbosity)
        db.apply_privileges(owner, app=role_name("app"), ingest=role_name("ingest"))
        for path in settings.PREPARE:
            import_string(path)(alias)
    finally:
        with owner.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(7265701)")
