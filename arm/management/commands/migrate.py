"""`migrate` as the owner of the tables; the application's role may not alter them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import migrate
from django.db import connections, transaction
from django.db.migrations import (
    AddField,
    AlterField,
    AlterModelTable,
    CreateModel,
    Migration,
    RenameField,
    RenameModel,
)
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.migrations.utils import resolve_relation


class Executor(MigrationExecutor):
    """A migration and the word that it was made are there together, or neither is.

    Django writes the word after the commit where it has put off keys to other tables: a first start that is killed between
    the two leaves tables which the next one cannot make again."""

    def apply_migration(self, state: Any, migration: Any, *args: Any, **options: Any) -> Any:
        with transaction.atomic(using=self.connection.alias) if migration.atomic else nullcontext():
            return super().apply_migration(state, migration, *args, **options)


class Command(migrate.Command):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database="owner")

    def handle(self, *args: Any, **options: Any) -> None:
        loader = MigrationLoader(connections[options["database"]])
        ahead = [one for key, one in loader.disk_migrations.items() if key not in loader.applied_migrations]
        with kept_together(), nullcontext() if concern_others(ahead) else drawn_alone():
            super().handle(*args, **options)


@contextmanager
def kept_together() -> Iterator[None]:
    """Django's command makes its executor by this name."""
    module: Any = migrate
    usual = module.MigrationExecutor
    module.MigrationExecutor = Executor
    try:
        yield
    finally:
        module.MigrationExecutor = usual


def concern_others(migrations: Iterable[Migration]) -> bool:
    """Whether one of them changes what keys of other models point to."""
    operations = [(one.app_label, operation) for one in migrations for operation in one.operations]
    pointed_to = {to for app, operation in operations for to in _pointed_to(app, operation)}
    return any(
        isinstance(operation, RenameModel | RenameField | AlterModelTable)
        or (
            isinstance(operation, AlterField)
            and operation.field.primary_key
            and (app, operation.model_name_lower) in pointed_to
        )
        for app, operation in operations
    )


def _pointed_to(app: str, operation: Any) -> Iterator[tuple[str, str]]:
    if isinstance(operation, CreateModel):
        model, fields = operation.name_lower, [field for _, field in operation.fields]
    elif isinstance(operation, AddField | AlterField):
        model, fields = operation.model_name_lower, [operation.field]
    else:
        return
    for field in fields:
        if field.is_relation:
            assert field.remote_field is not None
            yield resolve_relation(field.remote_field.model, app, model)


@contextmanager
def drawn_alone() -> Iterator[None]:
    """What changes a model and nothing that others point to changes that model's drawing and no other.

    Django draws it anew with all that are related to it, which are all where everything belongs to a tenant: nine
    tenths of the time of a first start. What such operations write depends on the model's fields alone, and a new
    index or constraint only on these two options; code that migrations run has everything drawn anew, as Django does
    after any change that it has put off (`ProjectState.is_delayed`).
    """
    state: Any = ProjectState
    usual = state._append_option, state._find_reload_model
    state._append_option, state._find_reload_model = _append_option, _alone
    try:
        yield
    finally:
        state._append_option, state._find_reload_model = usual


def _append_option(state: Any, app_label: str, model_name: str, option_name: str, added: Any) -> None:
    options = state.models[app_label, model_name].options
    options[option_name] = [*options[option_name], added]
    if "apps" in state.__dict__:  # drawn already
        setattr(state.apps.get_model(app_label, model_name)._meta, option_name, options[option_name])


def _alone(state: Any, app_label: str, model_name: str, delay: bool = False) -> set[tuple[str, str]]:
    state.is_delayed = True
    return {(app_label, model_name)}
