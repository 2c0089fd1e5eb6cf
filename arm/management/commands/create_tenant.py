"""A further tenant, with what every tenant starts with, and a person who administers it."""

from typing import Any

from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser
from django.db import transaction

from arm import services
from arm.errors import DomainError
from arm.models import User
from arm.queries import account_named


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("name")
        parser.add_argument("--admin", required=True, help="user name of who will administer the tenant")
        parser.add_argument(
            "--by", help="user name of the platform's administrator who makes it; default: the only one"
        )
        parser.add_argument("--reason", default="Made on the command line.")

    def handle(self, *args: Any, **options: Any) -> None:
        admin = _account(options["admin"])
        actor = _account(options["by"]) if options["by"] else _only_administrator()
        try:
            with transaction.atomic():
                tenant = services.create_tenant(
                    slug=options["slug"],
                    name=options["name"],
                    admin=admin,
                    actor=actor,
                    reason=options["reason"],
                )
        except DomainError as refusal:
            errors: Any = refusal.extra.get("errors") or ()
            said = [refusal.message, *(f"{error['pointer']}: {error['message']}" for error in errors)]
            raise CommandError(" ".join(said)) from refusal
        self.stdout.write(f"tenant {tenant.slug}: {admin.username} administers it")


def _account(name: str) -> User:
    user = account_named(name)
    if user is None:
        raise CommandError(f"There is no account “{name}”.")
    return user


def _only_administrator() -> User:
    found = list(User.objects.filter(is_superuser=True, is_active=True)[:2])
    if len(found) == 1:
        return found[0]
    raise CommandError(
        "Name the platform's administrator who makes it with --by."
        if found
        else "There is no administrator of the platform yet; run `manage.py first_admin`."
    )
