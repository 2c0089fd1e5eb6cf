"""A tenant may require genome profiles: versions without them stay where they are, and are told what and where."""

import json

import pytest
from django.urls import reverse

from arm.errors import Invalid, NotAllowed
from arm.models import ChangeRecord
from arm.rights import Right
from registry import services
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.models import AgentVersion, DirectoryRules
from tests import make
from tests.registry.genomes import example

pytestmark = pytest.mark.django_db
PAGE = "/registry/profiles/"


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme, client):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


@pytest.fixture
def draft(alice):
    """Complete by the schema; describes no limits and no memory."""
    template = make.template("invoices", name="Invoices")
    genome = {name: value for name, value in example(template=template.typeid).items()}
    for name in ("limits", "memory"):
        genome.pop(name, None)
    return services.create_version(template=template, genome=genome, actor=alice, reason="start")


def demand(acme, alice, *profiles):
    return services.require_profiles(tenant=acme, profiles=profiles, actor=alice, reason="auditors asked")


def test_without_a_rule_no_profile_is_required(draft, alice):
    moved = services.move_version(version=draft, to=VersionState.TESTING, actor=alice, reason="go")
    assert moved.state == VersionState.TESTING


def test_a_version_that_lacks_required_profiles_is_refused_with_every_one_and_its_pointer(draft, acme, alice):
    demand(acme, alice, "limits", "memory")
    with pytest.raises(GateRefused) as refused:
        services.move_version(version=draft, to=VersionState.TESTING, actor=alice, reason="go")
    assert "“memory” is required here and missing at /memory" in refused.value.message
    assert "“limits” is required here and missing at /limits" in refused.value.message
    assert AgentVersion.objects.get(pk=draft.pk).state == VersionState.DRAFT


def test_a_version_in_testing_is_held_before_candidate_and_may_go_back(draft, acme, alice):
    services.move_version(version=draft, to=VersionState.TESTING, actor=alice, reason="go")
    demand(acme, alice, "limits")
    with pytest.raises(GateRefused, match="missing at /limits"):
        services.move_version(version=draft, to=VersionState.CANDIDATE, actor=alice, reason="go")
    back = services.move_version(version=draft, to=VersionState.DRAFT, actor=alice, reason="mend")
    assert back.state == VersionState.DRAFT


def test_the_rule_of_one_tenant_binds_no_other(draft, acme, alice):
    other = make.tenant("other")
    mallory = make.everything(make.user("mallory", member_of=other), other)
    services.require_profiles(tenant=other, profiles=["limits"], actor=mallory, reason="theirs")
    services.move_version(version=draft, to=VersionState.TESTING, actor=alice, reason="go")
    with pytest.raises(NotAllowed):
        services.require_profiles(tenant=acme, profiles=["limits"], actor=mallory, reason="meddling")


def test_each_change_is_recorded_once_with_what_was_and_what_is(acme, alice):
    demand(acme, alice, "memory", "limits")
    demand(acme, alice, "limits", "memory")
    demand(acme, alice)
    records = ChangeRecord.objects.filter(verb="registry.profiles.required").order_by("at", "pk")
    assert [(row.before, row.after) for row in records] == [
        ({"profiles": []}, {"profiles": ["memory", "limits"]}),
        ({"profiles": ["memory", "limits"]}, {"profiles": []}),
    ]


def test_a_profile_that_genomes_do_not_have_is_refused_by_its_place(acme, alice):
    with pytest.raises(Invalid) as refused:
        demand(acme, alice, "limits", "karma")
    assert [problem["pointer"] for problem in refused.value.extra["errors"]] == ["/profiles/1"]
    assert not DirectoryRules.objects.exists()


def test_the_version_page_shows_which_required_profile_is_missing(client, draft, acme, alice):
    demand(acme, alice, "limits")
    page = client.get(draft.get_absolute_url()).content.decode()
    assert "limits, required" in page and "missing at /limits" in page and "memory, absent" in page


def test_an_import_says_what_the_tenant_requires_beyond_the_file(client, acme, alice):
    demand(acme, alice, "limits")
    template = make.template("router")
    genome = {k: v for k, v in example(template=template.typeid).items() if k != "limits"}
    form = {"kind": "genome", "text": json.dumps(genome), "reason": "found"}
    page = client.post(reverse("registry:version_import"), form, follow=True).content.decode()
    assert "requires the profile “limits”; it is missing at /limits" in page
    form["text"] = json.dumps(genome | {"limits": {"max_turns": "many"}})
    refused = client.post(reverse("registry:version_import"), form)
    assert refused.status_code == 422 and "/limits/max_turns" in refused.content.decode()


def test_the_settings_page_sets_them_and_shows_them_again(client, acme, alice):
    assert client.post(PAGE, {"profiles": ["limits"], "reason": "auditors asked"}).status_code == 302
    assert DirectoryRules.objects.profiles_of(acme.pk) == ("limits",)
    page = client.get(PAGE).content.decode()
    assert page.count(" checked") == 1 and 'value="limits"' in page


def test_who_does_not_manage_the_directory_has_no_such_page(client, acme):
    vera = make.user("vera", member_of=acme)
    make.grant(vera, acme, Right.READ_DIRECTORY)
    client.force_login(vera)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/registry/versions/").content.decode()


def test_the_admin_sets_them_through_the_service(client, acme, alice):
    add = reverse("admin:registry_directoryrules_add")
    assert client.post(add, {"required_profiles": ["limits"], "reason": "first"}).status_code == 302
    row = DirectoryRules.objects.get()
    change = reverse("admin:registry_directoryrules_change", args=[row.pk])
    assert client.post(change, {"required_profiles": ["memory"], "reason": "second"}).status_code == 302
    assert DirectoryRules.objects.profiles_of(acme.pk) == ("memory",)
    assert client.get(add).status_code == 403, "one row a tenant"
    assert ChangeRecord.objects.filter(verb="registry.profiles.required").count() == 2
