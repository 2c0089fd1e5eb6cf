"""Every record gets one leaf; whoever changes a record, a leaf or a root afterwards is found, and told where."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction

from arm import changes
from arm.models import ChangeRecord, Tenant
from evidence import services
from evidence.models import Checkpoint, Leaf, PendingLeaf, SigningKey
from evidence.queries import consistency_proof, findings, inclusion_proof
from evidence.signing import merkle, notes
from evidence.signing.keys import CannotUnseal, ed25519_from_jwk
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signer(settings):
    """This process is the signer: it holds the key-encryption key."""
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"


def recorded(tenant: Tenant, count: int) -> list[ChangeRecord]:
    return [changes.record(None, "test.thing.made", tenant, reason=f"number {n}") for n in range(count)]


def leaf_of(record: ChangeRecord) -> Leaf:
    return Leaf.objects.get(kind="change", subject_id=record.pk)


def test_a_record_waits_for_its_leaf_from_its_own_transaction_on() -> None:
    acme = make.tenant("acme")
    with pytest.raises(RuntimeError, match="undone"), transaction.atomic():
        recorded(acme, 1)
        raise RuntimeError("undone")
    assert not PendingLeaf.objects.filter(tenant=acme).exists()
    (record,) = recorded(acme, 1)
    waiting = PendingLeaf.objects.get(tenant=acme)
    assert (waiting.kind, waiting.subject_id, waiting.digest) == ("change", record.pk, record.digest)


def test_every_record_has_one_leaf_and_a_second_round_adds_none() -> None:
    acme = make.tenant("acme")
    records = recorded(acme, 20)
    first = services.seal_log(tenant=acme)
    # The key's own record came while the first checkpoint was made: it is under the next one.
    assert (first.leaves, first.checkpoint.size if first.checkpoint else None) == (20, 20)
    second = services.seal_log(tenant=acme)
    assert (second.leaves, second.checkpoint.size if second.checkpoint else None) == (1, 21)
    assert services.seal_log(tenant=acme) == services.Sealed(0, None)
    assert [leaf_of(record).seq for record in records] == list(range(20))
    assert not PendingLeaf.objects.filter(tenant=acme).exists()
    assert list(findings(acme)) == []


def test_the_leaf_is_canonical_json_with_the_digest_of_the_record_and_nothing_of_its_content() -> None:
    acme = make.tenant("acme")
    (record,) = recorded(acme, 1)
    services.sequence(tenant=acme)
    leaf = leaf_of(record)
    at = record.recorded_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    digest = record.digest.removeprefix("sha256:")
    assert leaf.body == f'{{"created":"{at}","payload_sha256":"{digest}","seq":0,"type":"change","v":1}}'
    assert bytes(leaf.hash) == merkle.leaf_hash(leaf.body.encode())


def test_a_stranger_verifies_a_leaf_with_the_proof_and_the_public_key_alone() -> None:
    acme = make.tenant("acme")
    records = recorded(acme, 13)
    services.seal_log(tenant=acme)
    public = ed25519_from_jwk(SigningKey.objects.get(tenant=acme).jwk).public_bytes_raw()
    for record in records:
        leaf = leaf_of(record)
        made = inclusion_proof(leaf)
        assert made is not None
        proof = notes.read_proof(made.text)
        head = notes.open_checkpoint(proof.checkpoint, public=public)
        said = {"root": head.root, "size": head.size, "index": proof.index, "path": proof.path}
        assert merkle.includes(leaf=merkle.leaf_hash(leaf.body.encode()), **said)  # type: ignore[arg-type]
        assert not merkle.includes(leaf=merkle.leaf_hash(b"{}"), **said)  # type: ignore[arg-type]


def test_a_leaf_has_no_proof_until_a_checkpoint_covers_it() -> None:
    acme = make.tenant("acme")
    (record,) = recorded(acme, 1)
    services.sequence(tenant=acme)
    assert inclusion_proof(leaf_of(record)) is None


def test_each_checkpoint_is_proved_to_go_on_from_every_earlier_one() -> None:
    acme = make.tenant("acme")
    for count in (1, 2, 5, 9):
        recorded(acme, count)
        services.seal_log(tenant=acme)
    heads = {row.size: bytes(row.root) for row in Checkpoint.objects.filter(tenant=acme)}
    assert len(heads) == 4
    for old, old_root in heads.items():
        for new, new_root in heads.items():
            if old < new:
                path = consistency_proof(acme, old, new)
                assert merkle.continues(old=old, old_root=old_root, new=new, new_root=new_root, path=path)


def test_tenants_have_logs_and_keys_of_their_own() -> None:
    acme, other = make.tenant("acme"), make.tenant("other")
    recorded(acme, 3), recorded(other, 2)
    services.seal_log(tenant=acme), services.seal_log(tenant=other)
    heads = {row.note.split("\n")[0]: row.size for row in Checkpoint.objects.all()}
    assert heads == {"arm.example/log/acme": 3, "arm.example/log/other": 2}
    assert SigningKey.objects.values("kid").distinct().count() == 2


def test_without_the_key_encryption_key_leaves_are_made_and_nothing_is_signed(settings) -> None:
    acme = make.tenant("acme")
    recorded(acme, 2)
    settings.KEY_ENCRYPTION_KEY = ""
    with pytest.raises(ImproperlyConfigured, match="Only the signer signs"):
        services.seal_log(tenant=acme)
    assert Leaf.objects.filter(tenant=acme).count() == 2
    assert not Checkpoint.objects.filter(tenant=acme).exists()


def test_a_signer_with_another_key_encryption_key_is_refused(settings) -> None:
    acme = make.tenant("acme")
    recorded(acme, 1)
    services.seal_log(tenant=acme)
    settings.KEY_ENCRYPTION_KEY = "of somebody else"
    recorded(acme, 1)
    with pytest.raises(CannotUnseal):
        services.seal_log(tenant=acme)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE evidence_leaf SET body = '{}'",
        "DELETE FROM evidence_leaf",
        "UPDATE evidence_node SET seq = 0",
        "DELETE FROM evidence_checkpoint",
        "UPDATE evidence_checkpoint SET size = 1",
        "UPDATE evidence_signingkey SET sealed = ''",
        "TRUNCATE evidence_leaf",
    ],
)
def test_the_application_cannot_rewrite_the_log(statement: str) -> None:
    acme = make.tenant("acme")
    recorded(acme, 4)
    services.seal_log(tenant=acme)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
