"""Verify an ARM Audit Pack without ARM: Python 3.9 or later and openssl, no network, nothing to install.

    python3 data/verify.py [--keys arm-keys.json]

Run it in the folder of the pack (where bagit.txt is). With --keys the public keys come from a file of yours, for
example a copy of https://…/.well-known/arm-keys.json that you fetched yourself; without it from the pack, and then a
good result says only that everything fits together. Ends with 1 if anything does not.
"""

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ED25519_DER = bytes.fromhex("302a300506032b6570032100")
"""What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo."""
DASH = "\u2014"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--keys", type=Path, help="arm-keys.json that you trust")
    asked.add_argument("folder", nargs="?", default=".", type=Path, help="of the pack")
    said = asked.parse_args()
    root: Path = said.folder
    wrong: list[str] = []
    try:
        keys = read_keys(said.keys or root / "data" / "keys" / "arm-keys.json")
        counts = {
            "files": check_manifests(root, wrong),
            "statements": check_statements(root, keys["evidence"], wrong),
            "proofs": check_proofs(root, keys["log"], wrong),
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as problem:
        wrong.append(f"the pack cannot be read: {problem!r}")
        counts = {}
    for line in wrong:
        print(f"WRONG  {line}")
    print(", ".join(f"{count} {name}" for name, count in counts.items()) + f": {len(wrong)} wrong")
    if said.keys is None:
        print("The keys came from the pack itself: compare them with a copy that you fetched (--keys).")
    return 1 if wrong else 0


def read_keys(path: Path) -> dict[str, dict[str, bytes]]:
    """Ed25519 keys by purpose and key id; the id is computed, not believed (RFC 7638)."""
    found: dict[str, dict[str, bytes]] = {"evidence": {}, "log": {}}
    for entry in json.loads(path.read_text())["keys"]:
        if entry["jwk"].get("crv") == "Ed25519" and entry.get("status") != "compromised":
            x = entry["jwk"]["x"]
            thumb = hashlib.sha256(f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'.encode()).digest()
            kid = base64.urlsafe_b64encode(thumb).decode().rstrip("=")
            found.setdefault(entry["purpose"], {})[kid] = base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
    return found


def check_manifests(root: Path, wrong: list[str]) -> int:
    """Every file has the digest that its manifest names, and every file is named. What lies below data/ is the signed
    manifest's to name, and nobody else's."""
    named: dict[str, str] = {}
    for manifest, inside in (("manifest-sha256.txt", True), ("tagmanifest-sha256.txt", False)):
        for line in (root / manifest).read_text(encoding="utf-8").splitlines():
            digest, path = line.split(None, 1)
            if path in named or path.startswith("data/") is not inside:
                wrong.append(f"{manifest}: {path} is not its to name")
            else:
                named[path] = digest
    there = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }
    there -= {"tagmanifest-sha256.txt"}
    wrong += [f"{path}: no manifest names it" for path in sorted(there - named.keys())]
    for path, digest in sorted(named.items()):
        if path not in there or (root / path).is_symlink():
            wrong.append(f"{path}: it is missing, or no file")
        elif hashlib.sha256((root / path).read_bytes()).hexdigest() != digest:
            wrong.append(f"{path}: it is not the file that the manifest names")
    return len(named)


def check_statements(root: Path, keys: dict[str, bytes], wrong: list[str]) -> int:
    """The signature of every envelope; the pack's own must be about its manifest, others about the genome here."""
    count = 0
    tags = ("manifest-sha256.txt", "bag-info.txt", "bagit.txt")
    digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in tags}
    genome = root / "data" / "genome.json"
    if genome.exists():
        digests["genome.json"] = hashlib.sha256(genome.read_bytes()).hexdigest()
    own = list(root.glob("*.dsse.json"))
    if len(own) != 1:
        wrong.append(f"{len(own)} signed statements stand beside the manifest; one is expected")
    for path in own + sorted((root / "data").rglob("*.dsse.json")):
        count += 1
        name = path.relative_to(root).as_posix()
        envelope = json.loads(path.read_text())
        kind, payload = envelope["payloadType"], base64.b64decode(envelope["payload"])
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
        one = envelope["signatures"][0]
        if kind != "application/vnd.in-toto+json" or one["keyid"] not in keys:
            wrong.append(f"{name}: it is not signed by a key that is known")
        elif not openssl(keys[one["keyid"]], signed, base64.b64decode(one["sig"])):
            wrong.append(f"{name}: its signature does not fit its payload")
        said = {one["name"]: one["digest"]["sha256"] for one in json.loads(payload)["subject"]}
        wrong += [
            f"{name}: it is about another {tag}"
            for tag in tags
            if path in own and said.get(tag) != digests[tag]
        ]
        if "genome.json" in said and said["genome.json"] != digests.get("genome.json"):
            wrong.append(f"{name}: it is about another genome")
    return count


def check_proofs(root: Path, keys: dict[str, bytes], wrong: list[str]) -> int:
    """Each record and each envelope is in the log, under a signed checkpoint (RFC 9162, 2.1.3.2)."""
    checkpoints: dict[str, bool] = {}
    proofs = sorted((root / "data" / "proofs").glob("*.tlog-proof"))
    proven = {path.name[: -len(".tlog-proof")] for path in proofs}
    for path in sorted((root / "data" / "changes").glob("*")):
        if path.stem not in proven or json.loads(path.read_text(encoding="utf-8"))["id"] != path.stem:
            wrong.append(f"{path.name}: nothing proves it, or it is another record than its name says")
    for path in proofs:
        about = path.name[: -len(".tlog-proof")]
        leaf = (root / "data" / "proofs" / f"{about}.leaf.json").read_bytes()
        held = [root / "data" / "changes" / f"{about}.json"]
        held += list((root / "data" / "artefacts").glob(f"*.{about}.dsse.json"))
        digests = {hashlib.sha256(one.read_bytes()).hexdigest() for one in held if one.exists()}
        if json.loads(leaf)["payload_sha256"] not in digests:
            wrong.append(f"{path.name}: its leaf names another file than {about}")
        head, _, note = path.read_text(encoding="utf-8").partition("\n\n")
        lines = head.split("\n")
        index, steps = int(lines[1].split()[1]), [base64.b64decode(line) for line in lines[2:]]
        size, root_hash = int(note.split("\n")[1]), base64.b64decode(note.split("\n")[2])
        if note not in checkpoints:
            checkpoints[note] = is_signed(note, keys)
        if not checkpoints[note]:
            wrong.append(f"{path.name}: its checkpoint is not signed by a key that is known")
        if not includes(hashlib.sha256(b"\0" + leaf).digest(), index, size, steps, root_hash):
            wrong.append(f"{path.name}: it does not lead to the root of its checkpoint")
    return len(proofs)


def is_signed(note: str, keys: dict[str, bytes]) -> bool:
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    name = text.split("\n")[0]
    for line in signatures.strip("\n").split("\n"):
        dash, signer, said = line.split(" ")
        blob = base64.b64decode(said)
        for key in keys.values():
            kid = hashlib.sha256(name.encode() + b"\n\x01" + key).digest()[:4]
            if dash == DASH and signer == name and blob[:4] == kid:
                return openssl(key, text.encode(), blob[4:])
    return False


def includes(leaf: bytes, index: int, size: int, steps: list[bytes], root: bytes) -> bool:
    at, last, hashed = index, size - 1, leaf
    if not 0 <= index < size:
        return False
    for step in steps:
        if last == 0:
            return False
        if at & 1 or at == last:
            hashed = hashlib.sha256(b"\1" + step + hashed).digest()
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            hashed = hashlib.sha256(b"\1" + hashed + step).digest()
        at, last = at >> 1, last >> 1
    return last == 0 and hashed == root


_ASKED: dict[tuple[bytes, bytes, bytes], bool] = {}


def openssl(key: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the Ed25519 signature fits, as openssl says."""
    asked = (key, data, signature)
    if asked not in _ASKED:
        with tempfile.TemporaryDirectory() as place:
            files: dict[str, Any] = {"key": ED25519_DER + key, "data": data, "signature": signature}
            for name, content in files.items():
                (Path(place) / name).write_bytes(content)
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key"]
            command += ["-rawin", "-in", "data", "-sigfile", "signature"]
            done = subprocess.run(command, cwd=place, capture_output=True, check=False)  # noqa: S603
        _ASKED[asked] = done.returncode == 0
    return _ASKED[asked]


if __name__ == "__main__":
    sys.exit(main())
