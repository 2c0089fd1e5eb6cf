"""`migrate` as the owner of the tables; the application's role may not alter them."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.commands import migrate


class Command(migrate.Command):
    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> str | None:
        return super().handle(*args, **options)  # type: ignore[no-any-return,func-returns-value]
