"""A form that is refused comes back with everything that was typed, and says why beside it: admin and console."""

import pytest
from django.urls import reverse

from arm.models import ChangeRecord
from registry.models import AgentInstance, AgentTemplate, Provider
from tests import make

pytestmark = pytest.mark.django_db

FORMSETS = {
    f"{name}-{part}": "0" for name in ("ownerships", "versions") for part in ("TOTAL_FORMS", "INITIAL_FORMS")
}


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme, client):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


def admin(model, page, *args):
    return reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_{page}", args=args)


# the admin


def test_a_refused_addition_keeps_what_was_typed_and_stores_nothing(client, alice):
    make.provider("edge")
    typed = {
        "slug": "edge", "name": "Edge of the network", "kind": "federated", "heartbeat_seconds": 45,
        "description": "In three places", "reason": "They signed on Monday",
    }  # fmt: skip
    refused = client.post(admin(Provider, "add"), typed)
    text = refused.content.decode()
    assert refused.status_code == 409 and "There is already a provider “edge”." in text
    for value in ("Edge of the network", "In three places", "They signed on Monday", 'value="45"'):
        assert value in text
    assert '<option value="federated" selected>' in text
    assert Provider.objects.count() == 1 and not ChangeRecord.objects.exists()


def test_a_refused_change_keeps_what_was_typed_and_the_row_as_it_was(client, alice):
    template = make.template("mail", name="Mail")
    typed = {
        "name": "Mail sorter",
        "description": "Sorts mail",
        "tags": f'["{"a" * 61}"]',
        "reason": "better name",
    }
    refused = client.post(admin(AgentTemplate, "change", template.pk), typed | FORMSETS)
    text = refused.content.decode()
    assert refused.status_code == 422 and "At most 32 tags" in text
    for value in ("Mail sorter", "Sorts mail", "better name"):
        assert value in text
    template.refresh_from_db()
    assert template.name == "Mail" and not ChangeRecord.objects.exists()


def test_once_mended_the_same_form_goes_through(client, alice):
    make.provider("edge")
    typed = {"slug": "edge", "name": "Edge", "kind": "local", "heartbeat_seconds": 45, "reason": "r"}
    assert client.post(admin(Provider, "add"), typed).status_code == 409
    assert client.post(admin(Provider, "add"), typed | {"slug": "edge-2"}).status_code == 302
    assert Provider.objects.filter(slug="edge-2", heartbeat_seconds=45).exists()


def test_a_refused_command_stays_on_its_page_with_the_rows_that_refused_and_the_reason(client, alice):
    at_work, gone = make.instance(name="billing-1"), make.instance(name="billing-2", state="retired")
    chosen = {"_selected_action": [str(at_work.pk), str(gone.pk)], "action": "pause", "confirmed": "yes"}
    answer = client.post(admin(AgentInstance, "changelist"), chosen | {"reason": "Answers in rhymes"})
    text = answer.content.decode()
    assert answer.status_code == 409 and "Pause: 1 of 2 done." in text and "billing-2 is Retired" in text
    assert "Answers in rhymes" in text
    assert f'name="_selected_action" value="{gone.pk}"' in text
    assert f'name="_selected_action" value="{at_work.pk}"' not in text
    assert AgentInstance.objects.get(pk=at_work.pk).state == "paused"


# the console


@pytest.mark.parametrize(
    ("name", "typed", "kept"),
    [
        (
            "template_create",
            {"slug": "mail", "name": "Mail sorter", "risk": "high", "tags": "post, paper", "intended_use": "Sorting"},
            ("Mail sorter", "post, paper", "Sorting", '<option value="high" selected>', "Why not"),
        ),
        (
            "provider_create",
            {"slug": "edge", "name": "Edge", "description": "Three places", "heartbeat_seconds": "45"},
            ("Three places", 'value="45"', "Why not"),
        ),
        (
            "environment_create",
            {"slug": "prod", "name": "Second", "production": "on", "risk_default": "critical", "retention_days": "7"},
            ('value="7"', "checked", '<option value="critical" selected>', "Why not"),
        ),
        (
            "role_create",
            {"slug": "clerk", "name": "Clerk", "purpose": "Files things", "tier": "3", "risk": "low"},
            ("Files things", 'value="3"', "Why not"),
        ),
    ],
)  # fmt: skip
def test_a_refused_page_keeps_what_was_typed(client, acme, alice, name, typed, kept):
    make.template("mail")
    make.provider("edge")
    make.environment("prod")
    make.role(slug="clerk")
    before = ChangeRecord.objects.count()
    refused = client.post(reverse(f"registry:{name}"), typed | {"reason": "Why not"})
    text = refused.content.decode()
    assert refused.status_code == 409 and "There is already" in text
    for value in kept:
        assert value in text, value
    assert ChangeRecord.objects.count() == before


def test_a_refused_import_keeps_the_pasted_text(client, alice):
    typed = {
        "kind": "genome",
        "text": '{"schema": "arm.genome/v1", "models": 7}',
        "name": "Router",
        "label": "3.1",
    }
    refused = client.post(reverse("registry:version_import"), typed | {"reason": "found it"})
    text = refused.content.decode()
    assert refused.status_code == 422 and "/models" in text
    for value in ("&#34;models&#34;: 7", "Router", "3.1", "found it"):
        assert value in text


def test_a_refused_binding_of_a_role_keeps_the_choice(client, acme, alice):
    bob = make.user("bob", member_of=acme)
    typed = {
        "principal": f"user:{bob.pk}",
        "role": "provider_service",
        "risk_max": "low",
        "reason": "night shift",
    }
    refused = client.post(reverse("role_bind"), typed)
    text = refused.content.decode()
    assert refused.status_code == 422 and "Machine roles are for service accounts" in text
    assert f'<option value="user:{bob.pk}" selected>' in text and "night shift" in text
