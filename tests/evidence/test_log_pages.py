"""The log on its page and for tools: who may read evidence sees all of it, a stranger none of it."""

import base64

import pytest
from django.test import Client

from arm import changes
from arm.ids import encode
from arm.rights import Right
from evidence import services
from evidence.models import Checkpoint, SigningKey
from evidence.signing import merkle, notes
from evidence.signing.keys import ed25519_from_jwk
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def acme(settings):
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"
    tenant = make.tenant("acme")
    for n in range(6):
        changes.record(None, "test.thing.made", tenant, reason=f"number {n}")
    services.seal_log(tenant=tenant)
    return tenant


def shown(number: int) -> str:
    """The shown identifier of the record with this number."""
    return encode("chg", changes.ChangeRecord.objects.get(reason=f"number {number}").pk)


def reader(tenant, *rights):
    """Ivan, who holds exactly these rights, signed in."""
    ivan = make.user("ivan", member_of=tenant)
    for right in rights:
        make.grant(ivan, tenant, right)
    client = Client()
    client.force_login(ivan)
    return client


def test_an_auditor_sees_the_checkpoint_the_key_and_every_leaf_with_its_record(acme) -> None:
    page = reader(acme, Right.READ_EVIDENCE, Right.READ_AUDIT).get("/evidence/log/").content.decode()
    checkpoint = Checkpoint.objects.get(tenant=acme)
    public = ed25519_from_jwk(SigningKey.objects.get(tenant=acme).jwk).public_bytes_raw()
    assert notes.verifier_key("arm.example/log/acme", public) in page
    assert bytes(checkpoint.root).hex() in page
    record = shown(2)
    assert f'href="/changes/{record}/"' in page
    assert f'href="/evidence/log/{record}/proof/"' in page


def test_who_may_not_read_records_gets_no_links_to_them(acme) -> None:
    assert (
        'href="/changes/'
        not in reader(acme, Right.READ_EVIDENCE)
        .get("/evidence/log/")
        .content.decode()
        .split("Leaves of the log")[1]
        .split("</table>")[0]
    )


def test_the_list_finds_the_leaf_of_a_record(acme) -> None:
    client = reader(acme, Right.READ_EVIDENCE)
    record, other = shown(4), shown(3)
    page = client.get("/evidence/log/", {"record": record}).content.decode()
    assert f"/evidence/log/{record}/proof/" in page
    assert f"/evidence/log/{other}/proof/" not in page
    assert "No leaf matches" in client.get("/evidence/log/", {"record": "chg_nonsense"}).content.decode()


def test_a_proof_comes_as_a_file_and_holds(acme) -> None:
    record = shown(3)
    answer = reader(acme, Right.READ_EVIDENCE).get(f"/evidence/log/{record}/proof/")
    assert answer["Content-Disposition"] == f'attachment; filename="{record}.tlog-proof"'
    proof = notes.read_proof(answer.content.decode())
    public = ed25519_from_jwk(SigningKey.objects.get(tenant=acme).jwk).public_bytes_raw()
    head = notes.open_checkpoint(proof.checkpoint, public=public)
    assert (proof.index, head.size) == (3, 6)


def test_a_tool_checks_the_whole_log_by_what_the_api_says(acme) -> None:
    client = reader(acme, Right.READ_EVIDENCE)
    (key,) = client.get("/api/v1/evidence/keys").json()
    note = client.get("/api/v1/evidence/log/checkpoint").content.decode()
    head = notes.open_checkpoint(note, public=ed25519_from_jwk(key["jwk"]).public_bytes_raw())
    entries = client.get("/api/v1/evidence/log/entries", {"from": 0, "count": 3}).json()
    entries += client.get("/api/v1/evidence/log/entries", {"from": 3}).json()
    hashes = [merkle.leaf_hash(one["body"].encode()) for one in entries]
    assert [one["hash"] for one in entries] == [one.hex() for one in hashes]
    assert merkle.root_of(hashes[: head.size]) == head.root
    record = shown(5)
    proof = notes.read_proof(client.get("/api/v1/evidence/log/proof", {"record": record}).content.decode())
    said = {"root": head.root, "size": head.size, "path": proof.path}
    assert merkle.includes(leaf=hashes[5], index=proof.index, **said)
    steps = client.get("/api/v1/evidence/log/consistency", {"from": 3, "to": 6}).json()["proof"]
    assert merkle.continues(
        old=3, old_root=merkle.root_of(hashes[:3]), new=6, new_root=head.root,
        path=[base64.b64decode(step) for step in steps],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("address", "pointer"),
    [
        ("log/proof", "/seq"),
        ("log/proof?seq=-1", "/seq"),
        ("log/proof?record=chg_x", "/record"),
        ("log/consistency?from=0&to=3", "/from"),
        ("log/consistency?from=4&to=3", "/from"),
        ("log/consistency?to=3", "/from"),
        ("log/entries?count=0", "/count"),
        ("log/entries?count=1001", "/count"),
        ("log/entries?from=%C2%B2", "/from"),
    ],
)
def test_a_wrong_question_is_named(acme, address: str, pointer: str) -> None:
    answer = reader(acme, Right.READ_EVIDENCE).get(f"/api/v1/evidence/{address}")
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("address", ["log/proof?seq=99", "log/consistency?from=3&to=99"])
def test_what_is_not_there_yet_is_404(acme, address: str) -> None:
    assert reader(acme, Right.READ_EVIDENCE).get(f"/api/v1/evidence/{address}").status_code == 404


def test_mallory_of_another_tenant_and_bob_without_the_right_see_nothing(acme) -> None:
    other = make.tenant("other")
    mallory = make.user("mallory", member_of=other)
    make.grant(mallory, other, Right.READ_EVIDENCE)
    bob = make.user("bob", member_of=acme)
    for person in (mallory, bob):
        client = Client()
        client.force_login(person)
        assert client.get(f"/evidence/log/{shown(3)}/proof/").status_code == 404
        assert client.get("/api/v1/evidence/log/checkpoint").status_code == 404
        assert client.get("/api/v1/evidence/log/entries").json() == []
        assert client.get("/api/v1/evidence/keys").json() == []
        assert client.get("/api/v1/evidence/log/consistency", {"from": 1, "to": 2}).status_code == 404
        assert "arm.example/log/acme" not in client.get("/evidence/log/").content.decode()


def test_who_has_no_account_finds_the_keys_that_verify_and_neither_names_nor_private_halves(acme) -> None:
    answer = Client().get("/.well-known/arm-keys.json")
    (key,) = answer.json()["keys"]
    note = Checkpoint.objects.get(tenant=acme).note
    assert notes.open_checkpoint(note, public=ed25519_from_jwk(key["jwk"]).public_bytes_raw()).size == 6
    assert (key["tenant"], key["status"], key["not_after"]) == (encode("ten", acme.pk), "active", None)
    sealed = bytes(SigningKey.objects.get(tenant=acme).sealed)
    assert not any(form in answer.content for form in (b"acme", b"sealed", base64.b64encode(sealed)))
    assert answer["Access-Control-Allow-Origin"] == "*"
    assert Client().post("/.well-known/arm-keys.json").status_code == 405
