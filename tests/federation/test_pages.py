"""The pages say what is wanted, said and proven, and lead people through invitation, approval and end."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from arm import clock
from arm.models import ApiKey
from arm.rights import Right
from federation.models import ProviderClient, Snapshot
from registry.lifecycle import InstanceState
from registry.models import Provider
from registry.services import restrict_instance
from tests import make

from .provider import Adapter, federated, item, newest, people

pytestmark = pytest.mark.django_db


@pytest.fixture
def cloud(client) -> Adapter:
    tenant = make.tenant("acme")
    made = Adapter(federated(tenant=tenant), *people(tenant))
    version = make.approved(template=make.template(tenant=tenant))
    made.one = make.instance(provider=made.provider, version=version, name="desk")
    client.force_login(made.approver)
    return made


def text(answer) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def see(client, row) -> str:
    answer = client.get(row.get_absolute_url())
    assert answer.status_code == 200
    return text(answer)


def test_an_invitation_is_made_on_the_provider_s_page_and_shown_once(client, cloud):
    client.force_login(cloud.inviter)
    assert "Invite it" in see(client, cloud.provider)
    page = client.post(
        reverse("federation:provider_invite", args=[cloud.provider.typeid]), {"reason": "New."}
    )
    (token,) = set(re.findall(r"armr_\w{42}", page.content.decode()))
    assert cloud.register(token).status_code == 201
    provider = see(client, cloud.provider)
    assert token not in provider and "Waits for approval" in provider


def test_approval_shows_both_thumbprints_and_takes_the_comparison(client, cloud):
    cloud.register(cloud.invite().token)
    row = ProviderClient.objects.get()
    page = reverse("federation:client_approve", args=[row.typeid])
    shown = client.get(page).content.decode()
    assert shown.count(row.auth_kid) >= 2 and shown.count(row.attest_kid) >= 2  # to read, and to come back
    kids = {"auth_kid": row.auth_kid, "attest_kid": row.attest_kid, "reason": "By telephone."}
    assert "Compare them first" in text(client.post(page, kids))
    assert client.post(page, kids | {"compared": "on", "auth_kid": "x"}).status_code == 409
    assert client.post(page, kids | {"compared": "on"}).status_code == 302
    assert "Registered" in see(client, row)


def test_who_invited_is_told_that_another_person_approves(client, cloud):
    cloud.register(cloud.invite().token)
    row = ProviderClient.objects.get()
    client.force_login(cloud.inviter)
    kids = {"auth_kid": row.auth_kid, "attest_kid": row.attest_kid, "reason": "Mine.", "compared": "on"}
    answer = client.post(reverse("federation:client_approve", args=[row.typeid]), kids)
    assert answer.status_code == 403 and "ask another person" in text(answer)


def test_a_client_is_revoked_by_its_page(client, cloud):
    cloud.connected()
    page = reverse("federation:client_revoke", args=[cloud.client.typeid])
    assert client.post(page, {"reason": "Leaked."}).status_code == 302
    assert "Revoked" in see(client, cloud.client)
    assert cloud.poll().status_code == 401


def test_a_reader_sees_the_pages_and_none_of_the_verbs(client, cloud):
    cloud.connected()
    reader = make.user("rita", member_of=cloud.provider.tenant)
    make.grant(reader, cloud.provider.tenant, Right.READ_DIRECTORY)
    client.force_login(reader)
    page = see(client, cloud.client)
    assert "Revoke" not in page
    for name, row in (
        ("client_approve", cloud.client),
        ("client_revoke", cloud.client),
        ("provider_invite", cloud.provider),
    ):
        assert client.get(reverse(f"federation:{name}", args=[row.typeid])).status_code == 403
    for name in ("client_list", "command_list"):
        assert client.get(reverse(f"federation:{name}")).status_code == 200


def test_the_instance_page_goes_from_quarantining_to_attested_and_to_unknown_with_its_age(client, cloud):
    assert "Nobody answers" in see(client, cloud.one)
    cloud.connected()
    cloud.runs(cloud.one)
    cloud.inventory()
    restrict_instance(instance=cloud.one, to=InstanceState.QUARANTINED, actor=cloud.inviter, reason="Stop.")
    page = see(client, cloud.one)
    assert "Quarantining" in page and "Quarantined (attested)" not in page
    command = newest(cloud.one)
    cloud.poll()
    cloud.poll(command.jti)
    cloud.runs(cloud.one, "Quarantined", command.generation)
    cloud.prove(command)
    page = see(client, cloud.one)
    assert "Quarantined (attested)" in page
    for mark in ("Decided", "Available", "Delivered", "Acknowledged", "Applied", "Attested"):
        assert mark in page
    with clock.at(clock.now() + timedelta(minutes=5)):
        page = see(client, cloud.one)
    assert re.search(r"Unknown 5 min", page) and "has been silent since" in page


def test_a_refused_claim_is_shown_while_nothing_is_proven(client, cloud):
    cloud.connected()
    restrict_instance(instance=cloud.one, to=InstanceState.PAUSED, actor=cloud.inviter, reason="Stop.")
    command = newest(cloud.one)
    cloud.prove(command, state="Active")
    assert "state-mismatch" in see(client, cloud.one)
    assert "It says Active; Paused is wanted." in see(client, command)


def test_the_list_says_provider_and_certainty(client, cloud):
    cloud.connected()
    cloud.runs(cloud.one)
    cloud.inventory()
    assert "Active (reported)" in text(client.get(reverse("registry:instance_list")))
    cloud.prove(newest(cloud.one))
    rows = text(client.get(reverse("registry:instance_list")))
    assert "Active (attested)" in rows and "Cloud" in rows


def test_unregistered_instances_and_a_held_inventory_are_on_the_client_s_page(client, cloud):
    cloud.connected()
    cloud.inventory([item(f"shadow-{n}", "v", "Active", 1, n + 1) for n in range(6)])
    assert "shadow-1" in see(client, cloud.client)
    cloud.seq = 50
    cloud.inventory([])
    assert "An inventory is held" in see(client, cloud.client)
    held = Snapshot.objects.get(state="held")
    page = reverse("federation:snapshot_release", args=[held.typeid])
    assert client.post(page, {"reason": "They were moved."}).status_code == 302
    assert "shadow-1" not in see(client, cloud.client)


def test_lists_can_be_taken_away_as_csv(client, cloud):
    cloud.connected()
    for name, wanted in (("client_list", cloud.client.typeid), ("command_list", newest(cloud.one).typeid)):
        answer = client.get(reverse(f"federation:{name}"), {"format": "csv"})
        assert answer["Content-Type"].startswith("text/csv") and wanted in answer.content.decode()


def test_clients_and_commands_are_found_by_search(client, cloud):
    cloud.connected()
    command = newest(cloud.one)
    for words, url in (
        ("cloud adapter", cloud.client),
        (cloud.client.attest_kid, cloud.client),
        (command.typeid, command),
    ):
        assert url.get_absolute_url() in client.get(reverse("search"), {"q": words}).content.decode(), words


def test_programs_read_and_revoke_and_a_token_approves_nobody(client, cloud):
    cloud.register(cloud.invite().token)
    row = ProviderClient.objects.get()
    said = client.get("/api/v1/federation/clients/").json()["results"]
    assert [one["attest_kid"] for one in said] == [row.attest_kid]
    place = f"/api/v1/federation/clients/{row.typeid}"
    body = {"reason": "Compared.", "auth_kid": row.auth_kid, "attest_kid": row.attest_kid}
    _, token = make.key(ApiKey.Kind.PERSONAL, tenant=cloud.provider.tenant, user=cloud.approver)

    def ask(verb: str, said: dict[str, str], **headers: str):
        return client.post(f"{place}/{verb}/", said, content_type="application/json", headers=headers)

    by_token = ask("approve", body, Authorization=f"Bearer {token}")
    assert by_token.status_code == 403 and "token" in by_token.json()["detail"]
    assert ask("approve", body).json()["status"] == "registered"
    commands = client.get("/api/v1/federation/commands/", {"instance": cloud.one.typeid}).json()["results"]
    assert [one["to_state"] for one in commands] == ["Active"]
    assert client.get("/api/v1/federation/commands/", {"of": "x"}).status_code == 422
    revoked = ask("revoke", {"reason": "Leaked."}, Authorization=f"Bearer {token}")
    assert revoked.json()["status"] == "revoked"


def test_admin_pages_show_and_revoke(client, cloud):
    cloud.connected()
    for model in ("providerclient", "command", "attestation", "instancereport"):
        assert client.get(f"/admin/federation/{model}/").status_code == 200
    said = {
        "action": "revoke_client",
        "_selected_action": [str(cloud.client.pk)],
        "confirmed": "1",
        "reason": "Leaked.",
    }
    client.post("/admin/federation/providerclient/", said)
    cloud.client.refresh_from_db()
    assert cloud.client.status == "revoked"


def test_pages_of_local_instances_say_nothing_of_federation(client, cloud):
    local = make.instance(provider=make.provider(tenant=cloud.provider.tenant))
    assert "At its provider" not in see(client, local)
    assert "Nobody answers" not in see(client, local.provider)


def test_a_federated_provider_is_added_by_its_form_and_one_without_a_kind_is_local(client, cloud):
    client.force_login(cloud.inviter)
    page = reverse("registry:provider_create")
    said = {"name": "Other cloud", "slug": "other", "heartbeat_seconds": "60", "reason": "New."}
    assert client.post(page, said | {"kind": "federated"}).status_code == 302
    assert client.post(page, said | {"slug": "third"}).status_code == 302
    assert Provider.objects.get(slug="other").kind == "federated"
    assert Provider.objects.get(slug="third").kind == "local"
