"""From an incident to the genome, the policy and the approvals that counted then: the links are followed."""

import re
from datetime import timedelta

import pytest

from arm import clock
from arm.rights import Right
from policy.lifecycle import ApprovalState
from registry.models import ApprovalWithdrawal
from telemetry import services
from telemetry.lifecycle import IncidentKind, Severity
from tests import make

pytestmark = pytest.mark.django_db
READS = (Right.READ_INCIDENTS, Right.READ_DIRECTORY, Right.READ_DECISIONS, Right.READ_POLICY)


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def rita(acme, client):
    rita = make.user("rita", member_of=acme)
    make.grant(rita, acme, *READS)
    client.force_login(rita)
    return rita


def follow(client, page, words):
    """The page behind the link with these words, and the element that its fragment names."""
    (href,) = re.findall(rf'<a [^>]*href="([^"]+)"[^>]*>{re.escape(words)}</a>', page)
    address, _, anchor = href.replace("&amp;", "&").partition("#")
    found = client.get(address)
    assert found.status_code == 200, href
    text = found.content.decode()
    assert not anchor or f'id="{anchor}"' in text, href
    return text[text.index(f'id="{anchor}"') if anchor else 0 :]


def opened(instance):
    return services.open_incident(
        subject=instance,
        title="Deletes what it should read",
        actor=None,
        kind=IncidentKind.TOOL_MISUSE,
        severity=Severity.S2,
    )


def test_the_incident_leads_to_who_approved_the_version(client, acme, rita):
    instance = make.instance()
    make.version_approval("frank", instance.version)
    page = client.get(opened(instance).get_absolute_url()).content.decode()
    assert "frank looked at it" in follow(client, page, f"Approvals of {instance.version}")


def test_the_instance_then_names_who_had_approved_its_version_and_what_it_had_used(client, acme, rita):
    instance = make.instance()
    make.version_approval("frank", instance.version)
    taken_back = make.version_approval("grace", instance.version)
    ApprovalWithdrawal.objects.create(tenant=acme, approval=taken_back, reason="too early")
    now = clock.now()
    make.approval(
        instance,
        title="Payment of 90,000",
        state=ApprovalState.CONSUMED,
        decided_at=now - timedelta(minutes=5),
        closed_at=now,
    )
    incident = opened(instance)
    make.version_approval("heidi", instance.version)
    make.approval(
        instance,
        title="Payment of 7",
        state=ApprovalState.CONSUMED,
        decided_at=clock.now(),
        closed_at=clock.now(),
    )
    then = follow(client, client.get(incident.get_absolute_url()).content.decode(), "The instance then")
    assert "frank looked at it" in then and "Payment of 90,000" in then and "used 20" in then
    assert not any(later in then for later in ("grace looked", "heidi looked", "Payment of 7<"))
    assert "frank looked at it" in follow(client, then, "frank")
    assert "Payment of 90,000" in follow(client, then, "Payment of 90,000")


def test_approvals_taken_back_later_stood_then_and_those_of_an_earlier_round_did_not(client, acme, rita):
    instance = make.instance()
    make.version_approval("erin", instance.version, round=1)
    kept = make.version_approval("frank", instance.version, round=2)
    incident = opened(instance)
    ApprovalWithdrawal.objects.create(tenant=acme, approval=kept, reason="on second thoughts")
    then = follow(client, client.get(incident.get_absolute_url()).content.decode(), "The instance then")
    assert "frank looked at it" in then and "erin looked at it" not in then
