"""An assertion opens the door once: forged, replayed, expired or meant for another, it is refused and recorded."""

import time
from datetime import timedelta

import pytest
from jwcrypto import jwk, jwt

from arm import clock
from arm.models import SecurityEvent
from evidence.signing import keys
from tests import make

from .provider import HOST, Adapter, federated, people, signed_jwt

pytestmark = pytest.mark.django_db


@pytest.fixture
def cloud() -> Adapter:
    tenant = make.tenant("acme")
    made = Adapter(federated(tenant=tenant), *people(tenant))
    made.approved()
    return made


def recorded() -> list[str]:
    return list(SecurityEvent.objects.order_by("pk").values_list("detail__code", flat=True))


@pytest.mark.parametrize("kind", ["P-256", "Ed25519"])
@pytest.mark.parametrize("audience", [HOST, f"{HOST}/oauth/token", [HOST, "https://other.example"]])
def test_a_good_assertion_gives_a_token_of_ten_minutes(kind, audience):
    tenant = make.tenant("acme")
    cloud = Adapter(federated(tenant=tenant), *people(tenant))
    cloud.auth = keys.generate(kind)
    cloud.approved()
    answer = cloud.ask_token(cloud.assertion(aud=audience))
    assert answer.status_code == 200, answer.content
    said = answer.json()
    assert said["access_token"].startswith("arma_") and said["expires_in"] == 600
    cloud.token = said["access_token"]
    assert cloud.handshake().status_code == 201
    with clock.at(clock.now() + timedelta(minutes=11)):
        assert cloud.handshake().status_code == 401


def forged(cloud):
    return cloud.assertion(keys.generate("P-256"))


def with_the_attest_key(cloud):
    return cloud.assertion(cloud.attest)


def unsigned(cloud):
    _head, body, _ = cloud.assertion().split(".")
    return f"eyJhbGciOiJub25lIn0.{body}."


def tampered(cloud):
    head, _, sig = cloud.assertion().split(".")
    _, body, _ = cloud.assertion(sub="pcl_someone").split(".")
    return f"{head}.{body}.{sig}"


def by_hmac(cloud):
    token = jwt.JWT(header={"alg": "HS256"}, claims=cloud.claims())
    token.make_signed_token(jwk.JWK(kty="oct", k=keys.jwk(cloud.auth.public_key())["x"]))
    return token.serialize()


CASES = [
    (forged, "assertion-signature"),
    (with_the_attest_key, "assertion-signature"),
    (unsigned, "assertion-signature"),
    (tampered, "assertion-signature"),
    (by_hmac, "assertion-signature"),
    (lambda cloud: cloud.assertion(aud="https://other.example/oauth/token"), "assertion-audience"),
    (lambda cloud: cloud.assertion(aud=None), "assertion-audience"),
    (lambda cloud: cloud.assertion(iat=time.time() - 400, exp=time.time() - 200), "assertion-expired"),
    (lambda cloud: cloud.assertion(exp=time.time() + 900), "assertion-lifetime"),
    (lambda cloud: cloud.assertion(iat=time.time() + 290, exp=time.time() + 300), "assertion-not-yet"),
    (lambda cloud: cloud.assertion(sub="somebody"), "assertion-subject"),
    (lambda cloud: cloud.assertion(jti=""), "assertion-jti"),
    (lambda cloud: cloud.assertion(exp="soon"), "assertion-malformed"),
]


@pytest.mark.parametrize(("bad", "code"), CASES)
def test_a_bad_assertion_is_refused_with_its_code_and_recorded(cloud, bad, code):
    answer = cloud.ask_token(bad(cloud))
    assert (answer.status_code, answer.json()["code"], answer.json()["error"]) == (
        401,
        code,
        "invalid_client",
    )
    assert answer["Content-Type"] == "application/problem+json"
    assert recorded() == [code]


def test_a_replayed_assertion_is_refused_and_recorded(cloud):
    used = cloud.assertion()
    assert cloud.ask_token(used).status_code == 200
    again = cloud.ask_token(used)
    assert (again.status_code, again.json()["code"]) == (401, "assertion-replayed")
    assert recorded() == ["assertion-replayed"]


def test_what_is_no_assertion_at_all_says_nothing_about_anybody(cloud):
    claims = cloud.claims()
    for bad in ("x", "a.b.c", signed_jwt(claims | {"iss": "pcl_01jd0000000000000000000000"}, cloud.auth)):
        assert cloud.ask_token(bad).status_code == 401
    assert recorded() == []
    assert cloud.ask_token(grant_type="password").json()["error"] == "unsupported_grant_type"


def test_a_token_opens_only_its_scope(cloud):
    cloud.token = cloud.ask_token(scope="inventory:write").json()["access_token"]
    refused = cloud.handshake()
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient-scope")
    assert cloud.ask_token(scope="everything").json()["error"] == "invalid_scope"


def test_a_signed_in_person_and_a_wrong_checksum_open_nothing(cloud):
    cloud.sign_in()
    good, cloud.token = cloud.token, cloud.token[:-1] + ("A" if cloud.token[-1] != "A" else "B")
    assert cloud.handshake().status_code == 401
    cloud.token = good
    cloud.http.force_login(cloud.inviter)
    assert cloud.http.post("/federation/v1/poll").status_code == 403
