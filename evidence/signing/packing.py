"""An Audit Pack as a file: a ZIP of a BagIt bag (RFC 8493) whose manifest is signed.

audit-pack.evd_…/
  bagit.txt, bag-info.txt, manifest-sha256.txt, tagmanifest-sha256.txt
  audit-pack.evd_….dsse.json      the signed statement about manifest-sha256.txt
  data/…
"""

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath

import bagit

from . import dsse
from .checking import Check, Keyring, examine_envelope, examine_pdf, examine_proof
from .checking import examine as examine_file

MANIFEST = "manifest-sha256.txt"
MAX_BYTES = 512 * 1024 * 1024
MAX_FILES = 200_000


class BadPack(ValueError):
    """The file is no pack; the message says where."""


def bag(files: Iterable[tuple[str, bytes]], *, info: Mapping[str, str], at: datetime) -> tuple[bytes, bytes]:
    """A bag of these files (path below `data/`, content) as a ZIP, not signed yet, and its manifest."""
    with tempfile.TemporaryDirectory(prefix="arm-pack-") as place:
        root = Path(place)
        for path, content in files:
            target = root / _safe(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        stated = {"Bagging-Date": f"{at:%Y-%m-%d}", "Bag-Software-Agent": "ARM", **info}
        bagit.make_bag(place, stated, checksums=["sha256"])
        return _zipped(root, "", at), (root / MANIFEST).read_bytes()


def signed(unsigned: bytes, *, folder: str, name: str, envelope: bytes, at: datetime) -> bytes:
    """The bag with its signed statement beside the manifest, as a ZIP of one folder."""
    with tempfile.TemporaryDirectory(prefix="arm-pack-") as place:
        root = Path(place)
        for path, content in unzipped(unsigned).items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        (root / name).write_bytes(envelope)
        bagit.Bag(place).save()
        return _zipped(root, f"{folder}/", at)


def is_zip(data: bytes) -> bool:
    return data.startswith(b"PK")


def unzipped(data: bytes) -> dict[str, bytes]:
    """Every file of a ZIP by path. BadPack for what is none, too large, or leads out of its folder."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > MAX_FILES or sum(entry.file_size for entry in entries) > MAX_BYTES:
                raise BadPack(f"It holds more than {MAX_FILES} files or {MAX_BYTES} bytes.")
            if len({entry.filename for entry in entries}) != len(entries):
                raise BadPack("It holds two files of one name.")
            return {str(_safe(entry.filename)): archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as problem:
        if isinstance(problem, BadPack):
            raise
        raise BadPack("It is no ZIP file, or a damaged one.") from problem


def examine(data: bytes, ring: Keyring) -> Iterator[Check]:
    """Every check of a pack: the bag, its signed manifest, each envelope, PDF and proof in it. Of files that fit,
    only a count is said."""
    try:
        files = unzipped(data)
    except BadPack as problem:
        yield Check("pack", False, str(problem))
        return
    folders = {PurePosixPath(path).parts[0] for path in files}
    if len(folders) != 1 or any(len(PurePosixPath(path).parts) < 2 for path in files):
        yield Check("pack", False, "It is not one folder.")
        return
    (folder,) = folders
    held = {path.removeprefix(f"{folder}/"): content for path, content in files.items()}
    yield from _bag(held)
    yield from _manifest(held, ring)
    yield from _contents(held, ring)


def _bag(held: Mapping[str, bytes]) -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="arm-pack-") as place:
        for path, content in held.items():
            target = Path(place) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        try:
            bagit.Bag(place).validate()
        except bagit.BagError as problem:
            yield Check("bag", False, str(problem)[:500])
            return
    yield Check("bag", True, f"{len(held)} files, each with the digest that the manifests name.")


def _manifest(held: Mapping[str, bytes], ring: Keyring) -> Iterator[Check]:
    envelopes = [name for name in held if "/" not in name and name.endswith(".dsse.json")]
    if len(envelopes) != 1:
        yield Check(
            "signed manifest", False, f"{len(envelopes)} statements about the manifest; one is expected."
        )
        return
    envelope = held[envelopes[0]]
    wrong = [check for check in examine_envelope(envelope, ring) if not check.ok]
    for check in wrong:
        yield Check(f"{envelopes[0]}: {check.name}", False, check.detail)
    if not wrong:
        said = dsse.read_statement(dsse.read(envelope).payload)
        same = said.subjects.get(MANIFEST) == sha256(held.get(MANIFEST, b"")).hexdigest()
        yield Check(
            "signed manifest", same, "It is the manifest that was signed." if same else "It is another one."
        )


def _contents(held: Mapping[str, bytes], ring: Keyring) -> Iterator[Check]:
    """Each envelope, PDF and proof of the payload."""
    counted = {"statements": 0, "PDFs": 0, "proofs": 0}
    for path, content in sorted(held.items()):
        if not path.startswith("data/"):
            continue
        if path.startswith("data/artefacts/"):
            kind, checks = "statements", examine_file(content, ring)
        elif path.endswith(".pdf"):
            kind, checks = "PDFs", list(examine_pdf(content, ring))
        elif path.endswith(".tlog-proof"):
            kind, checks = "proofs", list(_proof(path, held, ring))
        else:
            continue
        counted[kind] += 1
        for check in checks:
            if not check.ok:
                yield Check(f"{path}: {check.name}", False, check.detail)
    yield Check(
        "contents", True, ", ".join(f"{count} {kind}" for kind, count in counted.items()) + " looked at."
    )


def _proof(path: str, held: Mapping[str, bytes], ring: Keyring) -> Iterator[Check]:
    """`data/proofs/<id>.tlog-proof` is about `data/changes/<id>.json`, or the envelope of an artefact."""
    about = PurePosixPath(path).name.removesuffix(".tlog-proof")
    leaf = held.get(f"data/proofs/{about}.leaf.json")
    payload = held.get(f"data/changes/{about}.json")
    if payload is None:
        found = [name for name in held if name.startswith("data/artefacts/") and f".{about}." in name]
        payload = held[found[0]] if found else None
    if leaf is None or payload is None:
        yield Check("proof", False, "What it proves is not in the pack.")
        return
    try:
        yield from examine_proof(held[path].decode(), leaf=leaf.decode(), payload=payload, ring=ring)
    except UnicodeDecodeError:
        yield Check("proof", False, "It is not text.")


def _safe(path: str) -> PurePosixPath:
    """The path, if it stays below its root. BadPack."""
    stated = PurePosixPath(path)
    if not path or stated.is_absolute() or ".." in stated.parts or "\\" in path or "\0" in path:
        raise BadPack(f"“{path[:80]}” is no path of a file in a pack.")
    return stated


def _zipped(root: Path, prefix: str, at: datetime) -> bytes:
    """The same files and time give the same bytes."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(prefix + path.relative_to(root).as_posix(), at.timetuple()[:6])
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    return made.getvalue()
