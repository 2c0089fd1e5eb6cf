"""The fleet's numbers on the home page, each a link to its rows, and what a search finds."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse

from arm import clock
from arm.rights import Right
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def prod(acme):
    return make.environment("prod", name="Production", production=True)


@pytest.fixture
def olga(acme, client):
    """On call: sees the directory of the whole tenant, and is signed in."""
    olga = make.user("olga", member_of=acme)
    make.grant(olga, acme, Right.READ_DIRECTORY)
    client.force_login(olga)
    return olga


@pytest.fixture
def fleet(acme, prod):
    """Six live instances and a retired one: two at work and heard, one late, one never heard from."""
    dev = make.environment("dev", name="Development")
    now = clock.now()
    for name, place, state, heard in (
        ("heard-1", prod, InstanceState.ACTIVE, now),
        ("heard-2", dev, InstanceState.ACTIVE, now - timedelta(seconds=30)),
        ("late", prod, InstanceState.ACTIVE, now - timedelta(hours=1)),
        ("never", prod, InstanceState.PAUSED, None),
        ("stopped", prod, InstanceState.QUARANTINED, now),
        ("new", dev, InstanceState.PROVISIONING, None),
        ("gone", dev, InstanceState.RETIRED, None),
    ):
        row = make.instance(name=name, environment=place, state=state)
        InstanceStatus.objects.filter(instance=row).update(heartbeat_at=heard)
    with clock.at(now):
        yield


def numbers(page):
    """Every number that is a link into the instance list: (shown, address)."""
    address = re.escape(reverse("registry:instance_list"))
    found = re.findall(rf'<a[^>]*href="({address}\?[^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return [
        (int(m[0]), unescape(url)) for url, text in found if (m := re.findall(r"(?:^|>)\s*(\d+)\b", text))
    ]


def test_each_number_of_the_fleet_leads_to_exactly_its_rows(client, olga, fleet):
    shown = numbers(client.get(reverse("home")).content.decode())
    assert len(shown) == 4 + 3 * 9, "four tiles, and nine numbers for two environments and the sum"
    for count, address in shown:
        assert len(client.get(address).context["object_list"]) == count, address


def test_the_fleet_is_counted_by_environment_state_and_heartbeat(client, olga, fleet):
    panel = next(p for p in client.get(reverse("home")).context["panels"] if p.anchor == "instances")
    fleet = panel.context["fleet"]
    assert [row.slug for row in fleet.rows] == ["prod", "dev"], "in channel order"
    assert {state: n for state, n in fleet.rows[0].states.items() if n} == {
        "active": 2,
        "paused": 1,
        "quarantined": 1,
    }
    assert fleet.total.live == 6
    assert fleet.total.heartbeats == {"fresh": 3, "late": 1, "never": 1}


def test_what_somebody_may_not_see_is_not_counted(client, acme, prod, fleet):
    gita = make.user("gita", member_of=acme)
    make.grant(gita, prod, Right.READ_DIRECTORY)
    client.force_login(gita)
    panel, held_back = client.get(reverse("home")).context["panels"]
    assert {row.name for row, _ in held_back.context["rows"]} == {"never", "stopped"}
    assert [row.slug for row in panel.context["fleet"].rows] == ["prod"]
    assert panel.context["fleet"].total.live == 4
    client.force_login(make.user("mallory", member_of=acme))
    assert client.get(reverse("home")).context["panels"] == []


def test_an_empty_fleet_says_what_to_do_first(client, acme, olga):
    assert "Nothing runs yet" in client.get(reverse("home")).content.decode()
    make.grant(olga, acme, Right.PROVISION_INSTANCE)
    assert reverse("registry:instance_provision") in client.get(reverse("home")).content.decode()


def test_the_fleet_page_asks_the_database_little(client, olga, fleet, django_assert_max_num_queries):
    client.get(reverse("home"))
    with django_assert_max_num_queries(25):  # eleven panels of five apps, whatever the fleet's size
        client.get(reverse("home"))


# search


def found(client, text):
    return {(hit.kind, hit.label) for hit in client.get(reverse("search"), {"q": text}).context["hits"]}


@pytest.mark.parametrize("text", ["\0", "pay\0", " \0 "])
def test_a_search_for_what_no_text_holds_is_answered(client, text):
    client.force_login(make.everything(make.user("ada", member_of=(acme := make.tenant())), acme))
    answer = client.get(reverse("search"), {"q": text})
    assert answer.status_code == 200 and answer.context["query"] == text.replace("\0", "").strip()


def test_a_search_finds_by_name_identifier_and_digest(client, olga, prod):
    template = make.template("invoices", name="Invoices")
    version = make.approved(template=template, label="2024.11")
    slot = make.slot(environment=prod, role=make.role("clerk", name="Clerk"))
    instance = make.instance(name="invoices-1", version=version, environment=prod)
    assert found(client, "invo") == {("Agent", "Invoices"), ("Instance", "invoices-1")}
    assert found(client, "2024.11") == {("Version", "Invoices v1")}
    assert found(client, version.genome.digest[7:19]) == {("Version", "Invoices v1")}
    assert found(client, version.genome.digest) == {("Version", "Invoices v1")}
    assert found(client, "production") == {("Environment", "Production")}
    assert found(client, "CLERK") == {("Slot", str(slot))}
    for row, kind in ((template, "Agent"), (version, "Version"), (instance, "Instance"), (slot, "Slot")):
        assert found(client, row.typeid) == {(kind, str(row))}
    assert found(client, "ins_nonsense") == set()


def test_a_search_finds_nothing_beyond_the_persons_rights(client, acme, prod, olga):
    hidden = make.instance(name="invoices-dev", environment=make.environment("dev"))
    shown = make.instance(name="invoices-prod", environment=prod)
    gita = make.user("gita", member_of=acme)
    make.grant(gita, prod, Right.READ_DIRECTORY)
    client.force_login(gita)
    assert found(client, "invoices") == {("Instance", str(shown))}
    assert found(client, hidden.typeid) == set()
    assert AgentInstance.objects.count() == 2
