"""The lifecycle on a version's page: where it stands, and everything that is missing for its next step, with a way there."""

import re

import pytest
from django.urls import reverse

from arm.rights import Right
from registry import services
from registry.gates import Verdict
from registry.lifecycle import VersionState
from registry.models import AgentVersion
from tests import make
from tests.arm.pages import words
from tests.registry.genomes import example

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme, client):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


@pytest.fixture
def bob(acme):
    """Looks at versions and moves none."""
    bob = make.user("bob", member_of=acme)
    make.grant(bob, acme, Right.READ_DIRECTORY)
    return bob


@pytest.fixture
def draft(acme, alice):
    """Without models and provenance."""
    template = make.template("invoices", name="Invoices")
    genome = example(template=template.typeid)
    del genome["models"], genome["provenance"]
    return services.create_version(template=template, genome=genome, actor=alice, reason="start")


def lifecycle(client, version):
    html = client.get(version.get_absolute_url()).content.decode()
    return re.search(r'<section class="card" id="lifecycle">.*?(?=<section class="card")', html, re.DOTALL)[0]


def phases(html):
    found = re.findall(r'<li class="track-(\w+)".*?<strong>(\w+)</strong>', html, re.DOTALL)
    return {name: phase for phase, name in found}


def test_a_draft_lists_everything_that_is_missing_at_once_each_with_the_page_that_mends_it(client, draft):
    html = lifecycle(client, draft)
    assert phases(html) == {
        "Draft": "now", "Testing": "next", "Candidate": "later",
        "Approved": "later", "Deprecated": "later", "Retired": "later",
    }  # fmt: skip
    assert "Before it can be Testing: 1 missing" in words(html)
    assert "The genome lacks models, provenance." in words(html)
    mend = reverse("registry:version_genome", args=[draft.typeid])
    assert f'href="{mend}"' in html and client.get(mend).status_code == 200


def test_who_may_not_mend_it_is_told_which_right_it_takes_and_finds_no_link(client, draft, bob):
    client.force_login(bob)
    html = lifecycle(client, draft)
    assert "Mend it" not in html and "Takes the right version_create ." in words(html)
    assert "Asked before" not in html, "a gate that asks nothing of this step is not drawn"
    assert "takes the right version_submit , which you do not hold" in words(html)
    assert "move/?to=" not in html


def test_the_gates_of_other_apps_are_asked_and_their_way_out_is_linked(client, draft, settings):
    settings.PROMOTION_GATES = [*settings.PROMOTION_GATES, f"{__name__}.NoSuite"]
    html = lifecycle(client, draft)
    assert "2 missing" in words(html) and "No suite is assigned." in words(html)
    assert 'href="/somewhere/" aria-label="Mend: suites"' in html


class NoSuite:
    name = "suites"

    def check(self, version, to):
        return Verdict(self.name, to is not VersionState.TESTING, "No suite is assigned.", "/somewhere/")


def test_whoever_built_a_candidate_is_told_before_they_try_that_somebody_else_approves_it(
    client, acme, alice
):
    version = make.version(created_by=alice)
    AgentVersion.objects.filter(pk=version.pk).update(state=VersionState.CANDIDATE)
    assert "You work here alone" in lifecycle(client, version)

    carol = make.everything(make.user("carol", member_of=acme), acme)
    page = client.get(version.get_absolute_url()).content.decode()
    assert "You built or submitted it; somebody else approves it." in page
    assert "Move to Approved" not in page
    client.force_login(carol)
    assert "Move to Approved" in client.get(version.get_absolute_url()).content.decode()


def test_an_approved_version_has_arrived_and_its_page_pushes_it_nowhere(client, alice):
    page = client.get(make.approved().get_absolute_url()).content.decode()
    assert phases(page)["Approved"] == "now" and "next" not in phases(page).values()
    assert 'button-primary" href' not in page and ">Deprecate</a>" in page


def test_a_withdrawn_version_says_how_far_it_came(client, draft, alice):
    services.move_version(version=draft, to=VersionState.RETIRED, actor=alice, reason="no use")
    assert phases(lifecycle(client, draft)) == {
        "Draft": "done", "Testing": "skipped", "Candidate": "skipped",
        "Approved": "skipped", "Deprecated": "skipped", "Retired": "now",
    }  # fmt: skip


def test_a_refused_move_links_to_what_mends_it(client, draft):
    refused = client.post(
        reverse("registry:version_move", args=[draft.typeid]), {"to": "testing", "reason": "x"}
    )
    assert refused.status_code == 409 and "Mend it" in refused.content.decode()
