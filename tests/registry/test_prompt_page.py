"""The text of a prompt is read by who builds, approves and audits; by nobody else, and never unnoticed."""

import pytest
from django.urls import reverse

from arm import crypto
from arm.errors import NotAllowed
from arm.models import SecurityEvent
from arm.rights import Right
from arm.roles import ROLES
from registry.models import IntegrityFinding, Prompt
from registry.services import create_version, read_prompt, save_genome, store_prompt, take_prompt
from registry.services.exchange import Tampered
from tests import make
from tests.registry.genomes import example, prompt

pytestmark = pytest.mark.django_db
TEXT = "<script>alert(1)</script>\nPay & file."


@pytest.fixture
def acme():
    return make.tenant("acme")


@pytest.fixture
def version(acme):
    make.prompt(TEXT)
    template = make.template("invoices", name="Invoices")
    document = example(template=template.typeid, prompts=[prompt(text=TEXT)])
    return make.version(template=template, genome=genome_of(template, document))


def genome_of(template, document):
    members = {name: document[name] for name in document if name not in ("schema", "template")}
    return make.genome(template=template, members=members)


def address(version, text=TEXT):
    return reverse("registry:version_prompt", args=[version.typeid, crypto.digest(text.encode())])


def holder(client, acme, role, on=None):
    """A person with the rights of a built-in role, signed in."""
    person = make.user(role, member_of=acme)
    make.grant(person, on or acme, *ROLES[role].rights)
    client.force_login(person)
    return person


@pytest.mark.parametrize("role", ["author", "approver", "grc_analyst", "auditor"])
def test_who_builds_approves_or_audits_reads_the_prompt_from_the_page_of_the_version(
    client, acme, version, role
):
    person = holder(client, acme, role)
    assert address(version) in client.get(version.get_absolute_url()).content.decode()
    page = client.get(address(version)).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\nPay &amp; file." in page and "<script>alert" not in page
    (line,) = SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED)
    assert (line.user_id, line.detail["digest"]) == (person.pk, crypto.digest(TEXT.encode()))


def test_whose_role_holds_for_one_agent_reads_its_prompts_and_no_others(client, acme, version):
    other = make.template("other")
    holder(client, acme, "approver", on=version.template)
    assert client.get(address(version)).status_code == 200
    elsewhere = make.version(template=other, genome=genome_of(other, example(template=other.typeid)))
    assert client.get(address(elsewhere)).status_code == 404


@pytest.mark.parametrize("role", ["viewer", "fleet_operator", "finops"])
def test_nobody_else_is_shown_it_and_the_refusal_is_a_line_of_the_security_log(client, acme, version, role):
    holder(client, acme, role)
    assert address(version) not in client.get(version.get_absolute_url()).content.decode()
    answer = client.get(address(version))
    assert answer.status_code == 403 and "Pay" not in answer.content.decode()
    assert SecurityEvent.objects.get().kind == SecurityEvent.Kind.REFUSED


def test_the_differences_lead_to_what_the_prompt_was_and_is(client, acme, version):
    template = version.template
    document = example(template=template.typeid, prompts=[prompt(text="Be kind.")])
    newer = make.version(template=template, genome=genome_of(template, document))
    holder(client, acme, "approver")
    diff = f"{reverse('registry:version_diff', args=[newer.typeid])}?with={version.typeid}"
    page = client.get(diff).content.decode()
    assert address(version) in page and address(newer, "Be kind.") in page
    assert "not stored here" in client.get(address(newer, "Be kind.")).content.decode()
    viewer = make.user("vera", member_of=acme)
    make.grant(viewer, acme, Right.READ_DIRECTORY)
    client.force_login(viewer)
    assert address(version) not in client.get(diff).content.decode()


def test_only_prompts_that_the_genome_names_are_read_by_way_of_a_version(client, acme, version):
    make.prompt("Of another team.")
    holder(client, acme, "approver", on=version.template)
    assert client.get(address(version, "Of another team.")).status_code == 404


def test_a_prompt_that_does_not_match_its_digest_is_shown_to_nobody(client, acme, version):
    template = version.template
    digest = crypto.digest(b"Be kind.")
    wrong = Prompt.objects.create(tenant=acme, content=b"Be evil.", digest=digest, size=8)
    document = example(template=template.typeid, prompts=[prompt(text="Be kind.")])
    newer = make.version(template=template, genome=genome_of(template, document))
    auditor = holder(client, acme, "auditor")
    answer = client.get(address(newer, "Be kind."))
    assert answer.status_code == 409 and "Be evil." not in answer.content.decode()
    assert IntegrityFinding.objects.get().prompt == wrong
    with pytest.raises(Tampered):
        take_prompt(prompt=wrong, actor=auditor)
    assert not SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED).exists()


def test_a_prompt_taken_by_the_api_is_a_line_unless_the_asker_has_it(acme, version):
    kept, auditor = Prompt.objects.get(), make.user("ada", member_of=acme)
    make.grant(auditor, acme, *ROLES["auditor"].rights)
    assert take_prompt(prompt=kept, actor=auditor).content == TEXT.encode()
    take_prompt(prompt=kept, actor=auditor, held=kept.digest)
    assert SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED).count() == 1


def by_api(client, version, text=TEXT, **headers):
    digest = crypto.digest(text.encode())
    return client.get(f"/api/v1/registry/versions/{version.typeid}/prompts/{digest}/", headers=headers)


def test_whose_role_holds_for_one_agent_takes_its_prompts_by_the_api_of_the_version(client, acme, version):
    make.prompt("Of another team.")
    holder(client, acme, "approver", on=version.template)
    answer = by_api(client, version)
    assert answer.status_code == 200 and answer.content == TEXT.encode()
    assert by_api(client, version, **{"If-None-Match": answer["ETag"]}).status_code == 304
    assert SecurityEvent.objects.filter(kind=SecurityEvent.Kind.EXPORTED).count() == 1
    assert by_api(client, version, "Of another team.").status_code == 404


def test_the_api_says_where_the_text_is_kept_elsewhere_and_refuses_who_may_not_read_it(client, acme, version):
    template = version.template
    document = example(template=template.typeid, prompts=[prompt(text="Kept elsewhere.")])
    newer = make.version(template=template, genome=genome_of(template, document))
    holder(client, acme, "author")
    answer = by_api(client, newer, "Kept elsewhere.")
    assert answer.status_code == 404 and "kept elsewhere" in answer.json()["detail"]
    holder(client, acme, "viewer")
    assert by_api(client, version).status_code == 403
    assert SecurityEvent.objects.filter(kind=SecurityEvent.Kind.REFUSED).count() == 1


def naming(template, actor, text=TEXT):
    """A draft of the agent whose genome names the prompt, made as everybody makes one."""
    document = example(template=template.typeid, prompts=[prompt(text=text)])
    return create_version(template=template, genome=document, actor=actor, reason="try it")


@pytest.fixture
def invoices(acme):
    return make.template("invoices")


@pytest.fixture
def bob(invoices):
    """Builds the agent `invoices`."""
    return make.hired("bob", "author", invoices)


@pytest.fixture
def other(acme):
    return make.template("other")


@pytest.fixture
def eve(acme, other):
    """Looks at everything and builds the agent `other`."""
    eve = make.hired("eve", "author", other)
    make.grant(eve, acme, *ROLES["viewer"].rights)
    return eve


def text_for(actor, version):
    return read_prompt(version=version, digest=crypto.digest(TEXT.encode()), actor=actor).text


def test_a_draft_that_names_the_digest_of_another_teams_prompt_does_not_open_it(
    client, invoices, bob, other, eve
):
    make.prompt(TEXT)
    naming(invoices, bob)
    draft = naming(other, eve)
    with pytest.raises(NotAllowed):
        text_for(eve, draft)
    client.force_login(eve)
    page, api = client.get(address(draft)), by_api(client, draft)
    assert (page.status_code, api.status_code) == (403, 403)
    assert "Pay" not in page.content.decode() and b"Pay" not in api.content
    refused = SecurityEvent.objects.filter(kind=SecurityEvent.Kind.REFUSED, user_id=eve.pk)
    assert [line.detail["digest"] for line in refused] == [crypto.digest(TEXT.encode())] * 3


def test_who_works_on_the_agent_that_named_it_first_reads_it_however_often_its_draft_changes(
    invoices, bob, other, eve
):
    make.prompt(TEXT)
    first = naming(invoices, bob)
    draft = naming(other, eve)
    changed = example(template=invoices.typeid, prompts=[prompt(text=TEXT)], x_={"note": "changed"})
    first = save_genome(version=first, genome=changed, actor=bob, reason="a note")
    assert text_for(bob, first) == TEXT
    with pytest.raises(NotAllowed):
        text_for(eve, draft)


def test_a_copy_of_an_agent_opens_its_prompts_to_who_reads_them_there(invoices, bob, other):
    make.prompt(TEXT)
    naming(invoices, bob)
    make.grant(bob, other, *ROLES["author"].rights)
    assert text_for(bob, naming(other, bob)) == TEXT


def test_who_has_stored_a_prompt_reads_it_in_an_agent_that_was_not_the_first_to_name_it(
    acme, bob, invoices, other, eve
):
    make.grant(eve, acme, Right.CREATE_VERSION)
    store_prompt(tenant=acme, content=TEXT.encode(), media_type="text/plain", actor=eve, reason="ours")
    naming(invoices, bob)
    assert text_for(eve, naming(other, eve)) == TEXT
