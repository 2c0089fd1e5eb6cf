"""What is sent twice at once is there once: a genome is one version of its agent, a file one import."""

from threading import Event, Thread
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connections, transaction

from arm import db
from arm.errors import Conflict
from registry import services
from registry.lifecycle import ImportState, VersionState
from registry.models import AgentTemplate, AgentVersion, Genome, TableImport, VersionParent
from tests import make
from tests.at_once import at_once
from tests.registry.genomes import example, tool
from tests.registry.sending_tables import long_table, send

pytestmark = pytest.mark.usefixtures("committed")
AGENTS = "slug,name\na,A\nb,B\n"
CARD = b'{"name": "Weather", "version": "1", "description": "Tells it.", "skills": []}'


@pytest.fixture
def tenant():
    return make.tenant()


@pytest.fixture
def alice(tenant):
    return make.everything(make.user(member_of=tenant), tenant)


def create(template, actor, **changes):
    document = example(template=template.typeid, **changes)
    return services.create_version(template=template, genome=document, actor=actor, reason="race")


def save(version, actor, **changes):
    document = example(template=version.template.typeid, **changes)
    return services.save_genome(version=version, genome=document, actor=actor, reason="race")


def test_drafts_given_one_genome_at_once_are_one_version_and_everybody_is_led_to_it(tenant, alice):
    for turn in range(5):
        template = make.template(tenant=tenant)
        drafts = [create(template, alice, tools=[tool(f"tool-{turn}-{n}")]) for n in range(3)]
        acts = [lambda one=one: save(one, alice) for one in drafts]
        results = at_once(tenant, *acts, lambda template=template: create(template, alice))
        with db.tenants([tenant.pk]):
            genome = Genome.objects.get(
                template=template, pk__in=[one.genome_id for one in results if isinstance(one, AgentVersion)]
            )
            made = AgentVersion.objects.get(template=template, genome=genome)
        led = {one.existing if isinstance(one, services.Duplicate) else one for one in results}
        assert led == {made}


def test_the_database_itself_refuses_a_second_version_of_a_genome(tenant):
    with db.tenants([tenant.pk]):
        held = make.version(template=make.template(tenant=tenant))
        with pytest.raises(IntegrityError, match="version_genome_unique"), transaction.atomic():
            make.version(template=held.template, genome=held.genome)


def test_a_card_of_a_new_agent_imported_twice_at_once_is_one_agent_and_one_version(tenant, alice):
    def bring():
        return services.import_agent_card(tenant=tenant, data=CARD, actor=alice, reason="race")

    results = at_once(tenant, bring, bring, bring)
    with db.tenants([tenant.pk]):
        agent = AgentTemplate.objects.get()
        made = agent.versions.get()
    led = {one.existing if isinstance(one, services.Duplicate) else one.version for one in results}
    assert (agent.name, led) == ("Weather", {made})


def test_who_makes_versions_and_who_registers_agents_do_not_wait_for_each_other_in_a_circle(tenant, alice):
    agent, there, go, told = make.template(tenant=tenant), Event(), Event(), []

    def register():
        try:
            with db.tenants([tenant.pk]), transaction.atomic():
                services.register_template(
                    tenant=tenant, slug="new", name="New", actor=alice, reason="race"
                )  # holds the tenant
                there.set()
                go.wait(1)  # the other has its locks by now, or waits for the tenant
                told.append(create(agent, alice, tools=[tool("one")]))
        except OperationalError as lost:  # a deadlock
            told.append(lost)
        finally:
            connections.close_all()

    thread = Thread(target=register)
    thread.start()
    assert there.wait(10)
    (made,) = at_once(tenant, lambda: create(agent, alice, tools=[tool("two")]))
    go.set()
    thread.join(20)
    assert [type(one) for one in (*told, made)] == [AgentVersion, AgentVersion]


def test_a_draft_that_was_tested_is_changed_while_its_parents_are_named_and_neither_waits_in_a_circle(
    tenant, alice
):
    template = make.template(tenant=tenant)
    first = create(template, alice, tools=[tool("first")])
    for turn in range(5):
        draft = create(template, alice, tools=[tool(f"draft-{turn}")])
        with db.tenants([tenant.pk]):
            AgentVersion.objects.filter(pk=draft.pk).update(submitted_by=alice, state=VersionState.DRAFT)
            draft.refresh_from_db()

        def name(draft=draft):
            return services.name_parents(version=draft, parents=[first], actor=alice, reason="race")

        made, refused = at_once(
            tenant, lambda draft=draft, turn=turn: save(draft, alice, tools=[tool(f"again-{turn}")]), name
        )
        assert isinstance(made, AgentVersion) and isinstance(refused, Conflict)
        with db.tenants([tenant.pk]):
            assert VersionParent.objects.get(version=made).parent == draft


def test_a_file_sent_twice_at_once_by_one_person_is_one_import(tenant, alice):
    for text in (AGENTS, long_table(600)):
        sent: list[Any] = at_once(tenant, *[lambda text=text: send(tenant, alice, text)] * 4)
        with db.tenants([tenant.pk]):
            table = TableImport.objects.latest("pk")
        assert set(sent) == {table}
    with db.tenants([tenant.pk]):
        assert TableImport.objects.count() == 2


def test_a_file_sent_by_two_at_once_is_the_import_of_one_and_the_other_is_told(tenant, alice):
    bob = make.everything(make.user(member_of=tenant), tenant)
    results = at_once(tenant, *[lambda who=who: send(tenant, who, AGENTS) for who in (alice, bob)])
    (made,) = [one for one in results if isinstance(one, TableImport)]
    (refused,) = [one for one in results if isinstance(one, services.Duplicate)]
    assert refused.existing == made and made.state == ImportState.CHECKED


def test_the_database_itself_refuses_a_second_import_of_a_file_that_is_not_ended(tenant, alice):
    with db.tenants([tenant.pk]):
        held = send(tenant, alice, AGENTS)
        kept = {
            field.attname: getattr(held, field.attname)
            for field in TableImport._meta.concrete_fields
            if not field.primary_key
        }
        with pytest.raises(IntegrityError, match="table_import_once"), transaction.atomic():
            TableImport.objects.create(**kept)
