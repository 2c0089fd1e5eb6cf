"""What every tenant starts with, and keys that speak for a place or an instance."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from arm import crypto
from arm.errors import Invalid, NotAllowed
from arm.models import ApiKey, ChangeRecord
from arm.rights import Right
from registry import services
from registry.models import Environment, KeyScope, Provider
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(tenant):
    user = make.user("alice", member_of=tenant)
    make.grant(user, tenant, Right.MANAGE_DIRECTORY, Right.MANAGE_KEYS)
    return user


def test_a_tenant_starts_with_three_environments_and_a_local_provider_once(tenant, alice):
    for _ in range(2):
        services.ensure_tenant_defaults(tenant=tenant, actor=alice)
    held = Environment.objects.values_list("slug", "position", "production")
    assert list(held) == [("dev", 1, False), ("staging", 2, False), ("prod", 3, True)]
    assert Provider.objects.get().slug == "local"
    assert ChangeRecord.objects.count() == 4


def test_a_taken_slug_is_answered_with_what_is_there(tenant, alice):
    first = services.create_environment(tenant=tenant, slug="qa", name="QA", actor=alice, reason="needed")
    with pytest.raises(services.Duplicate) as refused:
        services.create_environment(tenant=tenant, slug="qa", name="Other", actor=alice, reason="needed")
    assert refused.value.existing == first and refused.value.extra["id"] == first.typeid
    assert Environment.objects.get().name == "QA"


def test_only_who_manages_the_directory_adds_places(tenant):
    with pytest.raises(NotAllowed):
        services.create_provider(
            tenant=tenant, slug="x", name="X", actor=make.user("mallory", member_of=tenant), reason="r"
        )


def test_a_key_cannot_span_two_tenants(tenant, alice):
    place = make.environment("dev", tenant=tenant)
    foreign = make.provider("there", tenant=make.tenant("other"))
    with pytest.raises(Invalid, match="another tenant"):
        services.issue_ingest_key(environment=place, provider=foreign, name="k", actor=alice, reason="r")
    assert not ApiKey.objects.exists()


def printed(*args, named=True):
    """Named, because tests that commit may have left tenants of theirs in this worker's database."""
    out = StringIO()
    tenant = ("--tenant", "acme") if named and "--tenant" not in args else ()
    call_command("issue_token", *args, *tenant, stdout=out)
    return out.getvalue().strip()


def test_the_command_prints_an_ingest_key_for_a_place_and_nothing_else(tenant, alice):
    services.ensure_tenant_defaults(tenant=tenant, actor=alice)
    token = printed("ingest", "--environment", "prod")
    scope = KeyScope.objects.get()
    assert bytes(scope.key.digest) == crypto.token_digest(token)
    assert token.startswith("armi_")
    assert (scope.environment.slug, scope.provider.slug, scope.instance) == ("prod", "local", None)
    assert ChangeRecord.objects.get(verb="arm.key.issued").actor_label == "ARM"


def test_the_command_prints_a_workload_token_by_name_or_id(tenant):
    instance = make.instance(name="invoices-1")
    for asked in ("invoices-1", instance.typeid):
        assert printed("workload", "--instance", asked).startswith("armw_")
    assert {scope.instance for scope in KeyScope.objects.all()} == {instance}


def test_the_command_prints_a_service_token_for_an_account(tenant):
    make.user("ci", member_of=tenant)
    assert printed("service", "--user", "ci", "--tenant", "acme").startswith("arms_")
    assert ApiKey.objects.get().user.username == "ci"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("ingest",), "needs --environment"),
        (("ingest", "--environment", "moon"), "no such environment"),
        (("workload", "--instance", "nobody"), "no such instance"),
        (("workload", "--instance", "ins_nonsense"), "ins_"),
        (("service", "--user", "nobody"), "--user"),
        (("service", "--user", "x", "--tenant", "nowhere"), "no tenant"),
    ],
)
def test_the_command_says_what_is_wrong_and_issues_nothing(tenant, args, said):
    with pytest.raises(CommandError, match=said):
        printed(*args)
    assert not ApiKey.objects.exists()


def test_with_several_tenants_one_must_be_named(tenant):
    make.tenant("other")
    with pytest.raises(CommandError, match="acme, other"):
        printed("ingest", "--environment", "prod", named=False)


def test_a_project_is_made_once_and_recorded_with_the_cost_centre_of_its_tenant(tenant, alice):
    made = services.create_project(tenant=tenant, slug="growth", name="Growth", actor=alice, reason="new")
    assert made.cost_center == tenant.cost_center
    assert ChangeRecord.objects.about(made).get().after["slug"] == "growth"
    with pytest.raises(services.Duplicate):
        services.create_project(tenant=tenant, slug="growth", name="Again", actor=alice, reason="new")
    with pytest.raises(NotAllowed):
        services.create_project(tenant=tenant, slug="x", name="X", actor=make.user("mallory"), reason="x")
