"""A provider comes in by invitation and a second person's approval, or not at all."""

from datetime import timedelta

import pytest

from arm import clock, crypto
from arm.errors import Conflict, NotAllowed
from arm.models import ChangeRecord, SecurityEvent
from arm.rights import Right
from evidence.signing import keys
from federation import services
from federation.models import AccessToken, ControlKey, Invite, ProviderClient
from registry.models import Provider
from tests import make

from .provider import Adapter, federated, people

pytestmark = pytest.mark.django_db
Status = ProviderClient.Status


@pytest.fixture
def cloud() -> Adapter:
    tenant = make.tenant("acme")
    return Adapter(federated(tenant=tenant), *people(tenant))


def approve(cloud: Adapter, client: ProviderClient, **kw):
    shown = {"auth_kid": client.auth_kid, "attest_kid": client.attest_kid}
    return services.approve_client(
        client=client, **({"actor": cloud.approver, "reason": "Compared."} | shown | kw)
    )


def test_an_invitation_registers_one_client_which_then_waits_for_approval(cloud):
    invited = cloud.invite()
    answer = cloud.register(invited.token)
    client = ProviderClient.objects.get()
    assert answer.status_code == 201
    said = answer.json()
    assert (said["client_id"], said["status"]) == (client.typeid, "pending_approval")
    assert said["key_thumbprints"] == {
        "auth": keys.key_id(cloud.auth.public_key()),
        "attest": keys.key_id(cloud.attest.public_key()),
    }
    assert "x.of-tomorrow" in client.capabilities  # unknown ones are kept and passed over
    assert invited.token.encode() not in bytes(Invite.objects.get().digest)


def test_a_used_invitation_is_a_conflict_and_an_expired_one_is_forbidden(cloud):
    token = cloud.invite().token
    with clock.at(clock.now() + timedelta(hours=25)):
        late = cloud.register(token)
    assert (late.status_code, late.json()["code"]) == (403, "invite-expired")
    assert cloud.register(token).status_code == 201
    again = cloud.register(token)
    assert (again.status_code, again.json()["code"]) == (409, "invite-used")
    assert ProviderClient.objects.count() == 1


def test_a_later_invitation_ends_the_earlier_one(cloud):
    first, second = cloud.invite().token, cloud.invite().token
    assert cloud.register(first).json()["code"] == "invite-expired"
    assert cloud.register(second).status_code == 201


@pytest.mark.parametrize(
    "token",
    ["", "armr_short", crypto.new_token("r"), crypto.new_token("r")[:-1] + "!"],
    ids=["empty", "short", "unknown", "misspelt"],
)
def test_an_unknown_token_registers_nothing(cloud, token):
    cloud.invite()
    assert cloud.register(token).status_code == 401
    assert not ProviderClient.objects.exists()


def test_wrong_metadata_is_named_member_by_member_and_does_not_use_the_invitation_up(cloud):
    token = cloud.invite().token
    one_key = {"keys": [{**keys.jwk(cloud.auth.public_key()), "arm_duty": "auth"}] * 2}
    private = {"keys": [{**keys.jwk(cloud.auth.public_key()), "arm_duty": "auth", "d": "AAAA"}, {}]}
    same = {"keys": [{**keys.jwk(cloud.auth.public_key()), "arm_duty": duty} for duty in ("auth", "attest")]}
    for members, pointer in (
        ({"jwks": one_key}, "/jwks/keys/1/arm_duty"),
        ({"jwks": private}, "/jwks/keys/0"),
        ({"jwks": same}, "/jwks/keys"),
        ({"arm_capabilities": ["heartbeat"]}, "/arm_capabilities"),
        ({"scope": "telemetry:write"}, "/scope"),
        ({"contacts": ["nobody"]}, "/contacts/0"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "/token_endpoint_auth_method"),
    ):
        answer = cloud.register(token, **members)
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_client_metadata"
        assert pointer in [problem["pointer"] for problem in answer.json()["errors"]], members
    assert cloud.register(token).status_code == 201


def test_who_invited_does_not_approve(cloud):
    cloud.register(cloud.invite().token)
    client = ProviderClient.objects.get()
    with pytest.raises(NotAllowed, match="another person"):
        approve(cloud, client, actor=cloud.inviter)
    assert ProviderClient.objects.get().status == Status.PENDING
    assert approve(cloud, client).status == Status.REGISTERED
    assert ControlKey.objects.count() == 1


def test_the_only_person_of_a_tenant_approves_alone_and_the_record_says_so():
    tenant = make.tenant("solo")
    alice = make.everything(make.user("alice", member_of=tenant), tenant)
    cloud = Adapter(federated(tenant=tenant), alice, alice)
    cloud.approved()
    record = ChangeRecord.objects.get(verb="federation.client.approved")
    assert record.after["sod_mode"] == "reduced"


def test_other_thumbprints_than_those_shown_are_not_approved(cloud):
    cloud.register(cloud.invite().token)
    client = ProviderClient.objects.get()
    with pytest.raises(Conflict, match="thumbprints"):
        approve(cloud, client, attest_kid=client.auth_kid)


def test_strangers_invite_and_approve_nobody(cloud):
    mallory = make.user("mallory", member_of=cloud.provider.tenant)
    with pytest.raises(NotAllowed):
        services.invite_provider(provider=cloud.provider, actor=mallory, reason="mine")
    cloud.register(cloud.invite().token)
    with pytest.raises(NotAllowed):
        approve(cloud, ProviderClient.objects.get(), actor=mallory)
    make.grant(mallory, cloud.provider.tenant, Right.INVITE_PROVIDER)
    with pytest.raises(NotAllowed):
        approve(cloud, ProviderClient.objects.get(), actor=mallory)


def test_a_local_provider_is_not_invited(cloud):
    local = make.provider("local", kind=Provider.Kind.LOCAL, tenant=cloud.provider.tenant)
    with pytest.raises(Conflict, match="local"):
        services.invite_provider(provider=local, actor=cloud.inviter, reason="mine")


def test_a_client_that_waits_for_approval_gets_no_token(cloud):
    cloud.register(cloud.invite().token)
    cloud.client = ProviderClient.objects.get()
    answer = cloud.ask_token()
    assert (answer.status_code, answer.json()["code"]) == (401, "client-not-approved")


def test_a_revoked_client_is_refused_with_the_token_it_has(cloud):
    cloud.connected()
    assert cloud.poll().status_code == 200
    services.revoke_client(client=cloud.client, actor=cloud.approver, reason="Compromised.")
    assert cloud.poll().status_code == 401
    assert cloud.ask_token().json()["code"] == "client-not-approved"
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    with pytest.raises(Conflict, match="revoked"):
        approve(cloud, cloud.client)
    cloud.invite()  # another client may come


def test_discovery_names_addresses_that_answer(cloud):
    said = cloud.http.get("/.well-known/arm-federation").json()
    assert said["issuer"] == "http://testserver"
    cloud.connected()
    assert cloud.get(said["desired_endpoint"].removeprefix("http://testserver")).status_code == 200
    for name in ("token", "registration", "session", "poll", "inventory", "attestation"):
        path = said[f"{name}_endpoint"].removeprefix("http://testserver")
        assert cloud._send("POST", path, {}).status_code not in (301, 302, 404, 405), name
    (key,) = cloud.http.get("/.well-known/jwks.json").json()["keys"]
    assert (key["alg"], key["crv"]) == ("ES256", "P-256") and "d" not in key
    metadata = cloud.http.get("/.well-known/oauth-authorization-server").json()
    assert metadata["token_endpoint"] == said["token_endpoint"]


def test_refusals_that_matter_are_in_the_security_log(cloud):
    token = cloud.invite().token
    cloud.register(token)
    cloud.client = ProviderClient.objects.get()
    cloud.ask_token()
    lines = SecurityEvent.objects.filter(tenant_id=cloud.provider.tenant_id, kind="refused")
    assert [line.detail["code"] for line in lines] == ["client-not-approved"]


def test_what_sealed_the_control_key_is_gone_and_another_key_signs(cloud, settings):
    cloud.approved()
    old = ControlKey.objects.get()
    settings.CONTROL_KEY = "another secret than before"
    key, _ = services.control_key(cloud.provider.tenant_id)
    old.refresh_from_db()
    assert key.kid != old.kid and old.retired_at is not None
    kids = [key["kid"] for key in cloud.http.get("/.well-known/jwks.json").json()["keys"]]
    assert set(kids) == {key.kid, old.kid}
