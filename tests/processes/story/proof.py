"""The proof, checked by other people's software: openssl, securesystemslib, poppler, bagit, the SDK of A2A. Each also
gets a copy that was tampered with, and refuses it."""

import asyncio
import base64
import io
import json
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.request import OpenerDirector, urlopen

import bagit
import httpx
import pytest
from a2a.client import A2ACardResolver
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from jwt import PyJWK
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from evidence.signing.keys import from_jwk, pem

from ..product import sign_in, wait_for
from .setting import PASSWORD
from .stage import SIGNER, WORKER, Stage

WITHIN = 60
"""Seconds that a document may take from its request to being verified: it takes two, on a machine that is idle."""
EVIDENCE = "registry/evidence/"


def made(stage: Stage, by: str, **body: Any) -> dict[str, Any]:
    """Ask for a document, and wait until it is verified."""
    status, asked = stage.api(EVIDENCE, by, body)
    assert status == 201, asked
    shown: dict[str, Any] = {}

    def verified() -> bool:
        shown.update(stage.api(f"{EVIDENCE}{asked['id']}/", by)[1])
        assert not shown["problem"], shown
        return bool(shown["state"] == "verified")

    wait_for(verified, WITHIN)
    return shown


def taken(stage: Stage, session: OpenerDirector, document: dict[str, Any], kind: str) -> Path:
    """Download a file of it as a person does, under the name that it comes with."""
    answer = session.open(f"{stage.url}/registry/evidence/{document['id']}/{kind}/", timeout=20)
    name = re.search(r'filename="([^"]+)"', answer.headers["Content-Disposition"])
    assert name is not None
    file = stage.place / name[1]
    file.write_bytes(answer.read())
    return file


def said(*command: str, at: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=at, capture_output=True, text=True, check=False)


def an_auditor_takes_the_proof_away_and_verifies_it_without_arm(stage: Stage) -> None:
    version, at = stage.facts["version"], stage.place
    card = made(stage, "grace", kind="agent_card", version=version, reason="of record")
    assert set(card["times"]) == {"requested", "signed", "rendered", "pdf_signed", "logged", "verified"}
    ute = sign_in(stage.url, "ute", PASSWORD)
    envelope = taken(stage, ute, card, "envelope")
    pdf = taken(stage, ute, card, "pdf")
    keys = json.loads(urlopen(f"{stage.url}/.well-known/arm-keys.json", timeout=10).read())["keys"]
    key = next(from_jwk(one["jwk"]) for one in keys if one["kid"] == card["kid"])

    _openssl(envelope, pem(key), at)
    _securesystemslib(envelope, SSlibKey.from_crypto(key, keyid=card["kid"]))
    _poppler(pdf, envelope, at)
    assert stage.running.manage("verify_artifact", str(envelope), str(pdf)).count(" ok ") >= 8

    pack = made(stage, "ute", kind="audit_pack", version=version, reason="audit")
    _pack(taken(stage, ute, pack, "pack"), keys, at)

    lines = "SELECT count(*) FROM arm_securityevent e JOIN arm_user u ON u.id = e.user_id WHERE u.username = 'ute' AND e.kind = 'exported'"
    assert stage.database(lines) == 3


def _openssl(envelope: Path, key: str, at: Path) -> None:
    signed = json.loads(envelope.read_text())
    (at / "key.pem").write_text(key)
    (at / "sig").write_bytes(base64.b64decode(signed["signatures"][0]["sig"]))
    payload = base64.b64decode(signed["payload"])
    for data, good in ((payload, True), (payload.replace(b"Refund desk", b"Refund disk"), False)):
        (at / "pae").write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d " % len(data) + data)
        done = said(
            "openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "pae", "-sigfile", "sig", at=at
        )  # fmt: skip
        assert ("Verified Successfully" in done.stdout) is good


def _securesystemslib(envelope: Path, key: SSlibKey) -> None:
    Envelope.from_dict(json.loads(envelope.read_text())).verify([key], 1)
    changed = json.loads(envelope.read_text())
    payload = base64.b64decode(changed["payload"]).replace(b"Refund desk", b"Refund disk")
    changed["payload"] = base64.b64encode(payload).decode()
    with pytest.raises(VerificationError):
        Envelope.from_dict(changed).verify([key], 1)


def _poppler(pdf: Path, envelope: Path, at: Path) -> None:
    assert "Signature is Valid" in said("pdfsig", pdf.name, at=at).stdout
    (at / "detached").mkdir()
    said("pdfdetach", "-saveall", "-o", "detached", pdf.name, at=at)
    assert (at / "detached" / envelope.name).read_bytes() == envelope.read_bytes()
    content = bytearray(pdf.read_bytes())
    content[content.index(b"stream") + 40] ^= 1
    (at / "changed.pdf").write_bytes(bytes(content))
    assert "Digest Mismatch" in said("pdfsig", "changed.pdf", at=at).stdout


def _pack(pack: Path, keys: list[dict[str, Any]], at: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(pack.read_bytes())) as archive:
        archive.extractall(at / "unpacked")
    (folder,) = (at / "unpacked").iterdir()
    (at / "keys.json").write_text(json.dumps({"keys": keys}))
    guide = (folder / "data" / "VERIFY.md").read_text()
    commands = "".join(re.findall(r"```sh\n(.*?)```", guide, re.DOTALL)).replace("/tmp/", f"{at}/")
    commands = commands.replace("YOUR-COPY-OF/arm-keys.json", str(at / "keys.json"))
    without_arm = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "PYTHONNOUSERSITE": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=folder, env=without_arm, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 0 wrong" in done.stdout
    verbs = {json.loads(path.read_text())["verb"] for path in (folder / "data" / "changes").iterdir()}
    assert {"registry.version.created", "registry.version.moved", "evidence.artefact.requested"} <= verbs
    assert bagit.Bag(str(folder)).is_valid()
    genome = folder / "data" / "genome.json"
    genome.write_bytes(genome.read_bytes().replace(b"gpt-4o", b"gpt-4x"))
    assert not bagit.Bag(str(folder)).is_valid()
    refused = subprocess.run(
        [sys.executable, "-I", "data/verify.py", "--keys", str(at / "keys.json")], cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1 and "WRONG  data/genome.json" in refused.stdout


def the_sdk_of_a2a_fetches_the_published_card_and_verifies_it(stage: Stage) -> None:
    where = [{"url": "https://agents.example.com/refunds"}]
    made(
        stage,
        "alice",
        kind="a2a_card",
        version=stage.facts["version"],
        reason="for the partners",
        interfaces=where,
    )

    async def fetched(address: str) -> Any:
        async with httpx.AsyncClient() as client:
            return await A2ACardResolver(client, stage.url, agent_card_path=address).get_agent_card()

    def key(kid: str | None, jku: str | None) -> PyJWK:
        assert jku is not None and jku.startswith(stage.url)
        with urlopen(jku, timeout=10) as answer:  # as a client follows it
            return PyJWK(next(one for one in json.loads(answer.read())["keys"] if one["kid"] == kid))

    verify = create_signature_verifier(key, ["ES256"])
    addresses = f"versions/{stage.facts['version']}", f"templates/{stage.facts['template']}"
    for address in addresses:
        card = asyncio.run(fetched(f"/a2a/{address}/agent-card.json"))
        verify(card)
        assert card.name == "Refund desk"
        card.description = "Pays anybody anything."
        with pytest.raises(InvalidSignaturesError):
            verify(card)


def what_was_asked_for_while_signer_and_worker_are_away_is_made_when_they_are_back(stage: Stage) -> None:
    with stage.asleep(SIGNER, WORKER):
        body = {"kind": "agent_card", "version": stage.facts["version"], "reason": "while nobody signs"}
        status, asked = stage.api(EVIDENCE, "grace", body)
        assert status == 201
        time.sleep(2)
        assert stage.api(f"{EVIDENCE}{asked['id']}/", "grace")[1]["state"] == "requested"
    wait_for(lambda: stage.api(f"{EVIDENCE}{asked['id']}/", "grace")[1]["state"] == "verified", WITHIN)


STEPS = [
    an_auditor_takes_the_proof_away_and_verifies_it_without_arm,
    the_sdk_of_a2a_fetches_the_published_card_and_verifies_it,
    what_was_asked_for_while_signer_and_worker_are_away_is_made_when_they_are_back,
]
