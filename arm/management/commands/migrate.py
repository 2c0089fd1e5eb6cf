"""`migrate` as the owner of the tables; the application's role may not alter them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db.migrations.state import ProjectState


class Command(migrate.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        with options_alone():
            super().handle(*args, **options)


@contextmanager
def options_alone() -> Iterator[None]:
    """A new index or constraint changes its own model and no other.

    Django draws a model anew with all that are related to it, which are all where everything belongs to a tenant:
    half of the time of a first start. What such an operation writes depends on the model's fields alone, and later
    ones look for names in these two options.
    """
    state: Any = ProjectState
    usual = state._append_option
    state._append_option = _append_option
    try:
        yield
    finally:
        state._append_option = usual


def _append_option(state: Any, app_label: str, model_name: str, option_name: str, added: Any) -> None:
    options = state.models[app_label, model_name].options
    options[option_name] = [*options[option_name], added]
    if "apps" in state.__dict__:  # drawn already
        setattr(state.apps.get_model(app_label, model_name)._meta, option_name, options[option_name])
