"""A candidate whose policies change so that it would not become one now goes back to Testing, whichever way they change."""

import pytest
from django_q.models import OrmQ

from arm.tasks import run
from policy import services
from registry.lifecycle import VersionState
from registry.models import AgentVersion
from tests import make
from tests.policy.people import hire

pytestmark = pytest.mark.django_db
DENY = {"tools": [{"match": {"tool": "*"}, "effect": "deny"}]}


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def people(acme):
    return hire(acme, judy="tenant_admin", erin="approver")


@pytest.fixture(autouse=True)
def asked(settings):
    settings.PROMOTION_GATES = ["policy.plugins.PolicyValidates"]


@pytest.fixture
def candidate(acme):
    make.environment("dev")  # tools are asked about in places
    return make.version(state=VersionState.CANDIDATE)


@pytest.fixture
def denying(acme):
    return make.policy(content=make.policy_document(**DENY))


def told():
    """Carry out what was queued for candidates, as the worker does; returns how often they were asked anew."""
    found = [row.task["kwargs"] for row in OrmQ.objects.all()]
    found = [one for one in found if one.get("path") == "registry.tasks.something_changed"]
    for one in found:
        run(**{name: value for name, value in one.items() if name != "q_options"})
    OrmQ.objects.all().delete()
    return len(found)


def state(version):
    return AgentVersion.objects.get(pk=version.pk).state


def test_a_policy_that_is_bound_sends_back_what_it_leaves_no_tool(people, candidate, denying):
    services.bind_policy(policy=denying, target=candidate.template, actor=people["judy"], reason="tighten")
    assert told() == 1 and state(candidate) == VersionState.TESTING


def test_the_default_policy_sends_back_what_it_leaves_no_tool(acme, people, candidate, denying):
    services.set_default_policy(tenant=acme, policy=denying, actor=people["erin"], reason="default")
    assert told() == 1 and state(candidate) == VersionState.TESTING


def test_a_binding_that_ends_and_tools_that_are_classified_have_candidates_asked_anew(
    acme, people, candidate, denying
):
    binding = services.bind_policy(
        policy=denying, target=make.environment("staging"), actor=people["judy"], reason="tighten"
    )
    assert told() == 1
    services.unbind_policy(binding=binding, actor=people["erin"], reason="done")
    assert told() == 1
    entry = services.set_tool_risk(
        tenant=acme, tool="erase_all", risk="red", actor=people["erin"], note="new"
    )
    assert told() == 1
    services.end_tool_risk(entry=entry, actor=people["erin"], reason="done")
    assert told() == 1
