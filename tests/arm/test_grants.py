"""What the database is asked about rights is what the grants say now, and behind the wall, though its plan is kept."""

from datetime import timedelta

import pytest
from django.db import connection, connections

from arm import clock, db, grants
from arm.models import GroupGrant
from arm.rights import Right
from tests import make

pytestmark = pytest.mark.django_db
READ, RUN = Right.READ_DIRECTORY, Right.RESTRICT_INSTANCE


def held(person, right=READ):
    """By the rows themselves, one after the other."""
    now, teams = clock.now(), set(person.groups.values_list("pk", flat=True))
    found = {}
    for model in grants.grant_models():
        for row in model._default_manager.select_related("permission"):
            mine = row.group_id in teams if isinstance(row, GroupGrant) else row.user_id == person.pk
            begun = row.not_before is None or row.not_before <= now
            lasts = row.expires_at is None or row.expires_at > now
            if mine and begun and lasts and row.permission.codename == right.value:
                limits = found.setdefault(grants.scope_of(model), {})
                limits.setdefault(row.risk_max, set()).add(row.content_object_id)
    return found


@pytest.fixture
def fleet():
    acme = make.tenant("acme")
    agent, place = make.template(), make.environment("prod")
    alice, bob, mallory = make.user("alice"), make.user("bob"), make.user("mallory")
    crew = make.team()
    for person in (alice, bob):
        person.groups.add(crew.group)
    make.grant(alice, acme, READ, risk_max="medium")
    make.grant(alice, agent, READ, RUN)
    make.grant(alice, place, READ, expires_at=clock.now() - timedelta(seconds=1))
    make.grant(bob, place, READ, not_before=clock.now() + timedelta(hours=1))
    make.grant(bob, place, RUN, expires_at=clock.now() + timedelta(hours=1))
    (model,) = (
        m for m in grants.grant_models() if issubclass(m, GroupGrant) and grants.scope_of(m) is type(agent)
    )
    mine = type(agent)._meta
    permission = model._meta.get_field("permission").related_model.objects.get(
        codename=READ.value, content_type__model=mine.model_name, content_type__app_label=mine.app_label
    )
    binding = make.grant(mallory, make.template(), RUN)
    model._default_manager.create(
        group=crew.group, permission=permission, content_object=agent, tenant=acme, binding=binding
    )
    return alice, bob, mallory


def test_the_functions_answer_as_the_rows_do(fleet):
    answered = 0
    for person in fleet:
        everywhere = set()
        for right in Right:
            assert grants.scopes_of(person.pk, right) == held(person, right), f"{person}, {right}"
            everywhere |= {right.value} if held(person, right) else set()
        assert grants.rights_anywhere(person.pk) == everywhere
        answered += len(everywhere)
    assert answered == 5  # Alice reads and restricts, Bob does by his team and for an hour, Mallory restricts


def test_what_is_granted_or_taken_meanwhile_counts_at_once(fleet):
    *_, mallory = fleet
    place = make.environment("dev")
    for _ in range(7):  # PostgreSQL thinks about a kept plan for five times
        assert READ.value not in grants.rights_anywhere(mallory.pk)
        make.grant(mallory, place, READ)
        assert READ.value in grants.rights_anywhere(mallory.pk)
        assert grants.scopes_of(mallory.pk, READ) == {type(place): {"": {place.pk}}}
        for model in grants.grant_models():
            model._default_manager.filter(content_object=place.pk).delete()
        assert grants.scopes_of(mallory.pk, READ) == {}


def test_a_plan_is_kept_and_the_wall_is_asked_each_time():
    acme, zeta = make.tenant("acme"), make.tenant("zeta")
    carol = make.user("carol", member_of=acme)
    with db.tenants([acme.pk]):
        make.grant(carol, acme, READ)
    with db.tenants([zeta.pk]):
        make.grant(carol, zeta, RUN)
    for _ in range(7):
        with db.tenants([acme.pk]):
            assert grants.rights_anywhere(carol.pk) == {READ.value}
            assert grants.scopes_of(carol.pk, RUN) == {}
        with db.tenants([zeta.pk]):
            assert grants.rights_anywhere(carol.pk) == {RUN.value}
            assert grants.scopes_of(carol.pk, READ) == {}
        with db.tenants([]):
            assert grants.rights_anywhere(carol.pk) == frozenset()


def test_each_question_asks_every_table_of_grants_and_keeps_its_plan():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT prosrc, proconfig, prosecdef FROM pg_proc WHERE proname IN ('arm_rights_anywhere', 'arm_scopes_of')"
        )
        functions = cursor.fetchall()
    assert len(functions) == 2
    for source, settings, above_the_wall in functions:
        assert "plan_cache_mode=force_generic_plan" in settings
        assert not above_the_wall
        for model in grants.grant_models():
            assert f'"{model._meta.db_table}"' in source


@pytest.mark.django_db(databases=["default", "owner"])
def test_preparing_again_makes_them_as_the_models_are():
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION arm_rights_anywhere(asked_person uuid) RETURNS TABLE (held text)"
            " LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY SELECT 'everything'::text; END $$"
        )
    grants.prepare("owner")
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'arm_rights_anywhere'")
        ((source,),) = cursor.fetchall()
    assert "everything" not in source and "arm_tenantusergrant" in source
