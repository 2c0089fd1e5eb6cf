"""A tenant may want its prompts here: a genome that names one which is not stored is then refused, with the pointer."""

from io import BytesIO

import pytest
from django.urls import reverse

from arm.errors import Invalid
from arm.models import ChangeRecord
from registry import services
from registry.gates import GateRefused
from registry.lifecycle import VersionState
from registry.models import Prompt
from tests import make
from tests.registry.genomes import example, prompt

pytestmark = pytest.mark.django_db
TEXT = "You answer invoices."


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def alice(acme, client):
    alice = make.everything(make.user("alice", member_of=acme), acme)
    client.force_login(alice)
    return alice


@pytest.fixture
def template(alice):
    return make.template("invoices", name="Invoices")


def demand(acme, alice, kept=True):
    services.require_profiles(
        tenant=acme, profiles=[], prompts_kept=kept, actor=alice, reason="auditors read them"
    )


def create(template, alice):
    return services.create_version(
        template=template, genome=example(template=template.typeid), actor=alice, reason="first"
    )


def test_unless_asked_a_tenant_keeps_its_prompts_where_it_likes_and_the_page_says_which(
    client, template, alice
):
    version = create(template, alice)
    page = client.get(version.get_absolute_url()).content.decode()
    assert "/prompts/0/digest" in page and f"?digest={prompt()['digest']}" in page
    moved = services.move_version(version=version, to=VersionState.TESTING, actor=alice, reason="go")
    assert moved.state == VersionState.TESTING


def test_the_prompt_of_another_tenant_does_not_count(acme, template, alice):
    demand(acme, alice)
    make.prompt(TEXT, tenant=make.tenant("other"))
    with pytest.raises(Invalid):
        create(template, alice)


def test_a_version_from_before_the_rule_is_not_promoted_until_its_prompt_is_stored(acme, template, alice):
    version = create(template, alice)
    demand(acme, alice)
    with pytest.raises(GateRefused) as refused:
        services.move_version(version=version, to=VersionState.TESTING, actor=alice, reason="go")
    (gate,) = refused.value.extra["gates"]
    assert gate["gate"] == "prompts stored" and "/prompts/0/digest" in gate["reason"]
    assert gate["mend"] == f"{reverse('registry:prompt_store')}?digest={prompt()['digest']}"
    make.prompt(TEXT)
    moved = services.move_version(version=version, to=VersionState.TESTING, actor=alice, reason="go")
    assert moved.state == VersionState.TESTING


def test_the_rule_is_set_on_the_page_of_the_profiles_with_a_record(client, acme, alice):
    client.post("/registry/profiles/", {"prompts_kept": "on", "reason": "auditors"})
    record = ChangeRecord.objects.get(verb="registry.profiles.required")
    assert record.after == {"profiles": [], "prompts_kept": True}
    assert (
        "checked" in client.get("/registry/profiles/").content.decode().split('name="prompts_kept"')[1][:80]
    )


def test_a_prompt_is_stored_byte_for_byte_under_the_digest_that_was_asked_for(client, alice):
    url = reverse("registry:prompt_store")
    data = {"media_type": "text/plain", "digest": prompt()["digest"], "reason": "kept"}
    wrong = client.post(url, data | {"file": named(b"Something else.")})
    assert wrong.status_code == 422 and not Prompt.objects.exists()
    assert "The digest of this file is sha256:" in wrong.content.decode()
    assert client.post(url, data | {"file": named(TEXT.encode())}).status_code == 302
    assert bytes(Prompt.objects.get().content) == TEXT.encode()


def test_a_prompt_with_a_secret_in_it_is_not_kept(client, alice):
    data = {"media_type": "text/plain", "reason": "kept"}
    secret = "AC" + "0123456789abcdef0123456789abcdef"
    answer = client.post(
        reverse("registry:prompt_store"), data | {"file": named(f"Call with {secret}".encode())}
    )
    assert "/content" in answer.content.decode() and secret not in answer.content.decode()
    assert not Prompt.objects.exists()


def named(data):
    file = BytesIO(data)
    file.name = "prompt.txt"
    return file
