"""From an incident to what its agent was then, in three clicks at most, in a fleet of hundreds (V51)."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest

from arm import clock
from policy.lifecycle import ApprovalState, PolicyState
from policy.models import PolicyVersion
from registry.models import AgentInstance, InstanceInterval, InstanceStatus
from telemetry import services
from telemetry.lifecycle import IncidentKind, Severity
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice():
    tenant = make.tenant("acme")
    return make.everything(make.user("alice", member_of=tenant), tenant)


def opened(subject):
    return services.open_incident(
        subject=subject, title="It deletes", actor=None, kind=IncidentKind.TOOL_MISUSE, severity=Severity.S2
    )


def crowd(around, count):
    """Many more instances of the same place, as old as this one and named before it."""
    like = {
        name: getattr(around, name)
        for name in ("tenant", "version", "template", "environment", "provider", "state")
    }
    rows = AgentInstance.objects.bulk_create(AgentInstance(name=f"a-{n:03}", **like) for n in range(count))
    now = clock.now()
    InstanceStatus.objects.bulk_create(InstanceStatus(instance=row, tenant=row.tenant) for row in rows)
    InstanceInterval.objects.bulk_create(
        InstanceInterval(
            tenant=row.tenant, instance=row, version=row.version, state=row.state, since=now, known_from=now
        )
        for row in rows
    )


def click(client, url, words):
    """The address and the text of the page behind the link of these words."""
    links = re.findall(r'<a\b[^>]*href="([^"]+)"[^>]*>(.*?)</a>', client.get(url).content.decode(), re.DOTALL)
    found = [href for href, inner in links if re.sub(r"<[^>]+>", "", inner).strip() == words]
    assert found, f"no link “{words}” on {url}"
    target = urljoin(url, unescape(found[0]))
    page = client.get(target)
    assert page.status_code == 200, target
    return target, page.content.decode()


def test_the_instance_then_is_one_click_away_among_three_hundred(client, alice):
    instance = make.instance(environment=make.environment("prod"), name="zoe")
    crowd(instance, 300)
    policy = make.bound(instance.environment)
    first = policy.versions.get()
    decided = clock.now()
    asked = make.approval(instance, state=ApprovalState.APPROVED, decided_at=decided, title="Pay 20 once")
    incident = opened(instance)
    later = clock.now() + timedelta(minutes=5)
    PolicyVersion.objects.filter(pk=first.pk).update(state=PolicyState.SUPERSEDED, ended_at=later)
    second = make.policy_version(policy=policy, state=PolicyState.ACTIVE, activated_at=later)
    with clock.at(later + timedelta(minutes=5)):
        client.force_login(alice)
        then, page = click(client, incident.get_absolute_url(), "The instance then")
        assert instance.version.genome.digest in page
        assert first.get_absolute_url() in page and second.get_absolute_url() not in page
        assert "version 1, on" in page
        assert click(client, then, str(policy))[0] == first.get_absolute_url()
        assert click(client, then, "Pay 20 once")[0] == asked.get_absolute_url()


def test_an_incident_of_a_version_leads_to_the_fleet_then_of_that_version(client, alice):
    instance = make.instance(name="zoe")
    crowd(make.instance(), 60)
    incident = opened(instance.version)
    client.force_login(alice)
    target, page = click(client, incident.get_absolute_url(), "The fleet then")
    assert parse_qs(urlsplit(target).query)["version"] == [instance.version.typeid]
    assert "zoe" in page and "a-000" not in page
    assert instance.version.genome.digest in click(client, target, "zoe")[1], "two clicks in all"
