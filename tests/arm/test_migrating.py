"""Which migrations may be drawn model by model, and which change what others point to."""

import pytest
from django.conf import settings
from django.db import connections, models
from django.db.migrations import (
    AddField,
    AlterField,
    AlterModelTable,
    CreateModel,
    Migration,
    RenameField,
    RenameModel,
    RunSQL,
)
from django.db.migrations.state import ProjectState

from arm.management.commands.migrate import Executor, concern_others, drawn_alone

KEY = models.UUIDField(primary_key=True)
THING = CreateModel("Thing", [("id", models.AutoField(primary_key=True))])
PART = CreateModel("Part", [("id", KEY.clone()), ("whole", models.ForeignKey("shop.Thing", models.CASCADE))])


def concerned(*operations):
    migration = Migration("0001_initial", "shop")
    migration.operations = list(operations)
    return concern_others([migration])


def test_new_models_fields_and_columns_concern_nobody_else():
    more = AddField("part", "owner", models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE))
    wider = AlterField("thing", "name", models.TextField())
    assert not concerned(THING, PART, more, wider, RunSQL("SELECT 1"))


@pytest.mark.parametrize(
    "operation",
    [RenameModel("Thing", "Good"), RenameField("thing", "id", "key"), AlterModelTable("thing", "goods")],
    ids=lambda one: type(one).__name__,
)
def test_another_name_concerns_whoever_points_there(operation):
    assert concerned(THING, PART, operation)


@pytest.mark.parametrize(
    ("link", "told"), [(PART, True), (AddField("part", "t", PART.fields[1][1]), True), (None, False)]
)
def test_another_kind_of_key_concerns_whoever_points_to_it(link, told):
    others = [link] if link else []
    assert concerned(THING, *others, AlterField("thing", "id", KEY.clone())) is told


def test_code_that_a_migration_runs_sees_every_model_as_it_is_then():
    with drawn_alone():
        state = ProjectState()
        for operation in (THING, PART):
            operation.state_forwards("shop", state)
        state.apps.get_model("shop", "Part")  # drawn: what follows changes the drawing
        AddField("thing", "size", models.IntegerField(default=0)).state_forwards("shop", state)
        assert state.is_delayed
        state.clear_delayed_apps_cache()  # as Django's own operations do before they run code
        thing, part = state.apps.get_model("shop", "Thing"), state.apps.get_model("shop", "Part")
    assert part._meta.get_field("whole").remote_field.model is thing
    assert thing(size=3).size == 3


@pytest.mark.django_db(databases=["owner"])
def test_a_migration_that_is_not_noted_down_has_made_nothing(monkeypatch):
    owner = connections["owner"]
    executor = Executor(owner)
    sold = models.ForeignKey("arm.Tenant", models.CASCADE)  # a key that Django puts off
    migration = Migration("0001_initial", "shop")
    migration.operations = [CreateModel("Good", [("id", KEY.clone()), ("sold_by", sold)])]

    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(executor, "record_migration", killed)
    with pytest.raises(KeyboardInterrupt):
        executor.apply_migration(executor.loader.project_state(), migration)
    assert "shop_good" not in owner.introspection.table_names()
