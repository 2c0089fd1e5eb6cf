"""The palette's one endpoint, and the pages that a search finds."""

import pytest
from django.urls import reverse

from arm.ports import implementations
from arm.rights import Right
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


def found(client, text, **headers):
    return client.get(reverse("search"), {"q": text}, headers=headers)


def kinds(client, text):
    return {(hit.kind, hit.label) for hit in found(client, text).context["hits"]}


def test_a_search_finds_pages_that_the_person_may_open_and_no_others(client, acme):
    client.force_login(make.hired("vera", "viewer", acme))
    assert {("Page", "Instances"), ("Page", "Incidents")} <= kinds(client, "in")
    assert ("Page", "Agents") in kinds(client, "directory agents")
    assert ("Page", "Changes") not in kinds(client, "changes")  # a viewer does not read the audit
    client.force_login(make.hired("audrey", "auditor", acme))
    assert ("Page", "Changes") in kinds(client, "changes")


def test_policies_approvals_and_views_are_found_as_far_as_one_may_see_them(client, acme):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    rules = make.policy_version(tenant=acme).policy
    asked = make.approval(make.instance())
    make.view(alice, name="Night watch", tenant=acme)
    client.force_login(alice)
    assert ("Policy", rules.name) in kinds(client, rules.name[:4])
    assert ("Policy", rules.name) in kinds(client, rules.typeid)
    assert ("Approval", asked.title) in kinds(client, asked.typeid)
    assert ("View", "Night watch") in kinds(client, "night")
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    client.force_login(bob)
    for text in (rules.typeid, asked.typeid, "night", rules.name):
        assert not {kind for kind, _ in kinds(client, text)} & {"Policy", "Approval", "View"}


def test_another_tenant_finds_nothing(client, acme):
    rows = make.one_of_each(acme)
    other = make.tenant("other")
    client.force_login(make.everything(make.user("mallory", member_of=other), other))
    for row in rows.values():
        assert kinds(client, row.typeid) == set()


def test_for_the_palette_the_answer_is_the_hits_alone(client, acme):
    client.force_login(make.hired("vera", "viewer", acme))
    agent = make.template("support-triage", name="Support <b>triage</b>")
    part = found(client, "support", **{"HX-Request": "true"}).content.decode()
    assert "<html" not in part and f'role="option" href="{agent.get_absolute_url()}"' in part
    assert "&lt;b&gt;" in part and "<b>" not in part
    assert "<html" in found(client, "support").content.decode()


def test_letters_that_go_to_pages_are_given_once():
    keys = [entry.key for port in implementations("NAVIGATION") for entry in port.entries if entry.key]
    assert {"f", "a", "v", "i"} <= set(keys) and len(keys) == len(set(keys))
