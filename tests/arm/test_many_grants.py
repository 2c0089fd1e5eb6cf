"""Who holds a right on many single things sees exactly these, whichever way the database is asked."""

import pytest
from django.db.models import Q

from arm.keys import Among
from arm.permissions import FEW, visible
from arm.rights import Right
from registry.models import AgentInstance, AgentTemplate, AgentVersion
from telemetry.models import Incident
from tests import make

pytestmark = pytest.mark.django_db
MANY = FEW + 3


@pytest.fixture
def running():
    """Twice as many agents as anybody may see one by one, each with an instance and an incident."""
    make.tenant("acme")
    rows = [
        make.instance(
            version=make.approved(template=make.template(f"agent-{n}", risk="critical" if n % 2 else "low"))
        )
        for n in range(2 * MANY)
    ]
    for row in rows:
        make.incident(row)
    return rows


def seen(kind, person):
    return set(visible(kind.objects.all(), person, Right.READ_DIRECTORY))


def test_what_is_seen_is_what_was_granted(running):
    alice = make.user("alice")
    mine = running[:MANY]
    for row in mine:
        make.grant(alice, row.template, Right.READ_DIRECTORY)
    assert seen(AgentTemplate, alice) == {row.template for row in mine}
    assert seen(AgentVersion, alice) == {row.version for row in mine}
    assert seen(AgentInstance, alice) == set(mine)
    assert {row.template for row in seen(Incident, alice)} == {row.template for row in mine}


def test_a_limit_of_risk_holds_for_each_of_many(running):
    alice = make.user("alice")
    for row in running:
        make.grant(alice, row.template, Right.READ_DIRECTORY, risk_max="medium")
    assert {row.template.risk for row in seen(AgentInstance, alice)} == {"low"}
    assert len(seen(AgentInstance, alice)) == MANY


def test_grants_on_places_add_to_grants_on_agents(running):
    bob = make.user("bob")
    for row in running[:MANY]:
        make.grant(bob, row.template, Right.READ_DIRECTORY)
    elsewhere = running[-1]
    make.grant(bob, elsewhere.environment, Right.READ_DIRECTORY)
    there = {row for row in running if row.environment_id == elsewhere.environment_id}
    assert seen(AgentInstance, bob) == {*running[:MANY], *there}


def test_what_is_asked_about_one_person_says_nothing_about_another(running):
    alice, mallory = make.user("alice"), make.user("mallory")
    for row in running:
        make.grant(alice, row.template, Right.READ_DIRECTORY)
    assert len(seen(AgentTemplate, alice)) == 2 * MANY
    assert seen(AgentTemplate, mallory) == set()
    assert set(visible(AgentTemplate.objects.all(), alice, Right.CREATE_VERSION)) == set()


def test_among_none_is_nothing_wherever_it_stands():
    make.template()
    rows = AgentTemplate.objects.annotate(held=Among("pk", ()))
    assert [row.held for row in rows] == [False]
    assert rows.filter(held=False).count() == 1 and rows.order_by("held").count() == 1
    assert not AgentTemplate.objects.filter(Among("pk", ())).exists()
    assert AgentTemplate.objects.filter(~Q(Among("pk", ())) | Q(slug="other")).count() == 1
