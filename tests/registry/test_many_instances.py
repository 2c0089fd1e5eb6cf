"""A list of instances costs the database as many questions for many as for few, and shows the same of each."""

from itertools import count, islice

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from arm.rights import Right
from registry.models import AgentInstance
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def vera(client):
    acme = make.tenant("acme")
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, Right.READ_DIRECTORY, Right.READ_TELEMETRY, Right.EXPORT)
    client.force_login(vera)
    return vera


@pytest.fixture
def run(vera):
    """So many more instances of two agents, each in an environment and at a provider of its own."""
    versions = [make.approved(template=make.template(f"agent-{n}")) for n in range(2)]
    numbers = count(1)

    def run(many):
        return [
            make.instance(
                name=f"desk-{n}",
                version=versions[n % 2],
                environment=make.environment(f"place-{n}", position=n),
                provider=make.provider(f"host-{n}"),
            )
            for n in islice(numbers, many)
        ]

    return run


def statements(client, address):
    client.get(address)  # what is looked up once a process
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(address)
    assert answer.status_code == 200
    return len(asked), answer.content.decode()


@pytest.mark.parametrize(
    "address",
    [
        lambda: reverse("registry:instance_list"),
        lambda: reverse("registry:instance_list") + "?format=csv",
        lambda: "/api/v1/registry/instances/",
        lambda: AgentInstance.objects.first().version.get_absolute_url(),
        lambda: reverse("search") + "?q=desk",
    ],
    ids=["list", "file", "api", "version", "search"],
)
def test_many_ask_no_more_than_few(client, run, address):
    run(2)
    few, _ = statements(client, address())
    run(9)
    many, page = statements(client, address())
    assert many == few
    assert "desk-9" in page


def test_what_is_shown_of_each_is_its_own(client, run):
    made = run(4)
    page = client.get(reverse("registry:instance_list")).content.decode()
    for row in made:
        for shown in (row.name, str(row.version), str(row.environment), str(row.provider)):
            assert shown in page


def test_what_a_list_does_not_load_is_there_when_it_is_asked_for(run):
    row = run(1)[0]
    row.provider.description = "In the cellar"
    row.provider.save()
    listed = AgentInstance.objects.for_list().get()
    assert listed.provider.description == "In the cellar"
    assert listed.version.created_at == row.version.created_at


def test_the_agent_of_an_instance_is_made_once(run):
    run(3)
    for row in AgentInstance.objects.for_list():
        assert row.version.template is row.template
    with CaptureQueriesContext(connection) as asked:
        rows = list(AgentInstance.objects.select_related("template", "version"))
        assert [str(row.version) for row in rows] == [f"{row.template} v1" for row in rows]
    assert len(asked) == 1
