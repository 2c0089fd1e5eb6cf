"""Reading an Audit Pack that somebody hands in: nothing of it is believed, and little is done, before its manifest is
known to be signed."""

import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath

import bagit

from . import dsse
from .checking import Check, Keyring, examine_envelope, examine_pdf, examine_proof, guarded
from .packing import BadPack, is_path

MANIFEST, TAG_MANIFEST = "manifest-sha256.txt", "tagmanifest-sha256.txt"
AROUND = ("bagit.txt", "bag-info.txt", MANIFEST, TAG_MANIFEST)
"""What stands beside `data/` and the signed statement, and nothing else."""
MAX_BYTES = 512 * 1024 * 1024
MAX_FILES = 100_000
MAX_SHOWN = 100
"""Failures that are named; who sees a hundred does not need the next."""
END = struct.Struct("<4s4H2LH")


def is_zip(data: bytes) -> bool:
    return data.startswith(b"PK")


def unzipped(data: bytes) -> dict[str, bytes]:
    """Every file of a ZIP by path. BadPack for what is none, too large, or could be unpacked to something else: hidden
    beginnings and endings, names that mean another one, links, and sizes that are not so."""
    try:
        _whole(data)
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > MAX_FILES:
                raise BadPack(f"It holds more than {MAX_FILES} files.")
            _names(entries)
            if min((entry.header_offset for entry in entries), default=0) != 0:
                raise BadPack("Something stands before its first file.")
            found, left = {}, MAX_BYTES
            for entry in entries:
                found[entry.filename] = _read(archive, entry, left)
                left -= len(found[entry.filename])
            return found
    except BadPack:
        raise
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        zlib.error,
        struct.error,
    ) as problem:
        raise BadPack("It is no ZIP file, or a damaged one.") from problem


def _whole(data: bytes) -> None:
    """The directory ends where the file ends, and begins right behind the files."""
    sign, _, _, here, count, size, start, comment = END.unpack(data[-END.size :])
    if sign != b"PK\x05\x06" or comment or here != count or start + size + END.size != len(data):
        raise BadPack("It is no ZIP file, or something stands before or behind it.")


def _names(entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    for entry in entries:
        if not is_path(entry.filename) or stat.S_ISLNK(entry.external_attr >> 16):
            raise BadPack(f"“{entry.filename[:80]}” is no path of a file in a pack.")
        if entry.filename in folders:
            raise BadPack(f"“{entry.filename[:80]}” is a file and a folder.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadPack(f"“{entry.filename[:80]}” is packed in a way that is not used here.")
    if len({name.casefold() for name in names}) != len(names):
        raise BadPack("It holds two files of one name.")


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> bytes:
    """The content, whatever size the directory says that it has."""
    with archive.open(entry) as packed:
        content = packed.read(left + 1)
    if len(content) > left or len(content) != entry.file_size:
        raise BadPack(f"It holds more than {MAX_BYTES} bytes, or less than it says.")
    return content


def examine(data: bytes, ring: Keyring) -> Iterator[Check]:
    """Every check of a pack: its signed manifest, each file against it, each envelope, PDF and proof in it, and what
    bagit says. Of files that fit, only a count is said; what is not signed is not looked into."""
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
    for section in (_signed(held, ring), _listed(held)):
        wrong = False
        for check in islice(guarded("pack", section), MAX_SHOWN):
            wrong |= not check.ok
            yield check
        if wrong:
            return
    yield from islice(guarded("contents", _contents(held, ring)), MAX_SHOWN)
    yield from guarded("bag", _bag(held))


def _signed(held: Mapping[str, bytes], ring: Keyring) -> Iterator[Check]:
    """One signed statement, about exactly the manifest and the tags that are here."""
    around = [name for name in held if "/" not in name]
    envelopes = [name for name in around if name.endswith(".dsse.json")]
    if strange := sorted(set(around) - {*AROUND, *envelopes}):
        yield Check("pack", False, f"{strange[0][:80]} does not belong beside the manifest.")
        return
    if len(envelopes) != 1 or not set(AROUND) <= held.keys():
        text = f"{len(envelopes)} statements stand beside the manifest; one is expected, with {', '.join(AROUND)}."
        yield Check("signed manifest", False, text)
        return
    envelope = held[envelopes[0]]
    wrong = [check for check in examine_envelope(envelope, ring) if not check.ok]
    for check in wrong:
        yield Check(f"{envelopes[0]}: {check.name}", False, check.detail)
    if wrong:
        return
    said = dsse.read_statement(dsse.read(envelope).payload)
    for name in (MANIFEST, "bag-info.txt", "bagit.txt"):
        same = said.subjects.get(name) == sha256(held[name]).hexdigest()
        yield Check(name, same, "It is what was signed." if same else "It is not what was signed.")


def _listed(held: Mapping[str, bytes]) -> Iterator[Check]:
    """The signed manifest names every file of the payload, and each is what it names."""
    named = {}
    for line in held[MANIFEST].decode().splitlines():
        digest, _, path = line.partition(" ")
        path = path.strip()
        if path in named or not path.startswith("data/"):
            yield Check(MANIFEST, False, f"It names “{path[:80]}” twice, or it does not belong there.")
            return
        named[path] = digest
    payload = {path for path in held if "/" in path}
    for path in sorted(payload ^ named.keys()):
        yield Check(
            path[:200], False, "It is missing." if path in named else "The manifest does not name it."
        )
    for path in sorted(payload & named.keys()):
        if sha256(held[path]).hexdigest() != named[path]:
            yield Check(path[:200], False, "It is not the file that the manifest names.")
    yield Check("files", True, f"{len(named)} files were compared with the signed manifest.")


def _bag(held: Mapping[str, bytes]) -> Iterator[Check]:
    """What another project's software says of the bag."""
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
    yield Check("bag", True, "bagit finds it valid.")


def _contents(held: Mapping[str, bytes], ring: Keyring) -> Iterator[Check]:
    """Each envelope and PDF of the payload; each record and each envelope with its proof."""
    counted = {"statements": 0, "PDFs": 0, "proofs": 0}
    for path, content in sorted(held.items()):
        if path.startswith("data/artefacts/"):
            kind, checks = "statements", examine_envelope(content, ring)
        elif path.startswith("data/pdf/"):
            kind, checks = "PDFs", examine_pdf(content, ring)
        else:
            continue
        counted[kind] += 1
        yield from _failures(path, checks)
    for name, path in _provable(held).items():
        counted["proofs"] += 1
        yield from _failures(path, _proof(name, held[path], held, ring))
    provable = _provable(held)
    for path in sorted(held):
        name = PurePosixPath(path).name.partition(".")[0]
        if path.startswith("data/proofs/") and name not in provable:
            yield Check(path[:200], False, "What it proves is not in the pack.")
    said = ", ".join(f"{count} {kind}" for kind, count in counted.items())
    yield Check("contents", True, f"{said} looked at.")


def _failures(path: str, checks: Iterable[Check]) -> Iterator[Check]:
    for check in guarded("content", checks):
        if not check.ok:
            yield Check(f"{path[:200]}: {check.name}", False, check.detail)


def _provable(held: Mapping[str, bytes]) -> dict[str, str]:
    """Identifiers, and the file that is about each: `data/changes/<id>.json`, `data/artefacts/<kind>.<id>.dsse.json`."""
    found = {}
    for path in held:
        parts = PurePosixPath(path).parts
        if parts[:2] == ("data", "changes"):
            found[parts[-1].removesuffix(".json")] = path
        elif parts[:2] == ("data", "artefacts"):
            found[parts[-1].removesuffix(".dsse.json").rpartition(".")[2]] = path
    return found


def _proof(name: str, payload: bytes, held: Mapping[str, bytes], ring: Keyring) -> Iterator[Check]:
    leaf, proof = (held.get(f"data/proofs/{name}.{kind}") for kind in ("leaf.json", "tlog-proof"))
    if leaf is None or proof is None:
        yield Check("proof", False, "Nothing in the pack proves that it stands in the log.")
        return
    yield from examine_proof(proof.decode(), leaf=leaf.decode(), payload=payload, ring=ring)
    if name.startswith("chg_") and dsse.read_object(payload, "").get("id") != name:
        yield Check("record", False, "It is another record than its name says.")
