"""The steps of an artefact. Each is one transaction that holds the artefact: taken once, however often it is asked for
and whoever is killed meanwhile."""

import json
import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from django.conf import settings
from django.db import transaction
from django.template.loader import render_to_string

from arm import clock, pdf
from arm.crypto import digest
from arm.tasks import SIGNER, announce, enqueue

from ..lifecycle import GIVE_UP, SEALED_WITHIN, ArtefactKind, ArtefactState, following, pause
from ..models import Artefact, ArtefactFile, Leaf, PendingLeaf, SigningKey
from ..queries import checks_of, inclusion_proof
from ..signing import agent_cards, dsse, pades
from .artefacts import enqueue_next
from .keys import active_key, unsealed
from .log import seal_log
from .packs import NotInTheLog, assemble, pack

log = logging.getLogger(__name__)


class NotVerified(ValueError):
    """What was made does not pass its own verification."""


def take_step(*, artefact_id: UUID, step: ArtefactState) -> str:
    """Take this step of the artefact, if it is the next one and nobody is at it. Returns what was done, in words.

    A failure is written down and tried again later, with longer and longer pauses, for a day.
    """
    try:
        with transaction.atomic():
            rows = Artefact.objects.select_for_update(skip_locked=True)
            artefact = rows.filter(pk=artefact_id, abandoned_at=None).first()
            if artefact is None or following(artefact.kind, artefact.state) is not step:
                return "nothing to do"
            _STEPS[step](artefact)
            _reached(artefact, step)
    except NotInTheLog as waits:
        _later(artefact_id, step)
        return f"waits: {waits}"
    except Exception as problem:  # whatever it is: the artefact says so, and waits for another try
        log.exception("artefact %s: %s failed", artefact_id, step)
        _failed(artefact_id, step, problem)
        return f"failed: {problem}"[:200]
    return f"{artefact.typeid} {step}"


def _reached(artefact: Artefact, step: ArtefactState) -> None:
    now = clock.now()
    artefact.state, artefact.state_since = step, now
    artefact.times = {**artefact.times, step.value: now.isoformat()}
    artefact.attempts, artefact.problem, artefact.retry_at = 0, "", None
    artefact.save()
    if artefact.arrived:
        announce("evidence.artefact.verified", tenant_id=artefact.tenant_id, artefact=str(artefact.pk))
    else:
        enqueue_next(artefact)


@transaction.atomic
def _later(artefact_id: UUID, step: ArtefactState) -> None:
    """Nothing is wrong: the log is sealed every few seconds. Asked for once; then the signer is away, and its own round
    will come."""
    artefact = Artefact.objects.select_for_update().get(pk=artefact_id)
    if following(artefact.kind, artefact.state) is step:
        first, artefact.retry_at = artefact.retry_at is None, clock.now() + SEALED_WITHIN
        artefact.save(update_fields=["retry_at"])
        if first:
            enqueue("evidence.tasks.seal_log", tenant_id=artefact.tenant_id, cluster=SIGNER)


@transaction.atomic
def _failed(artefact_id: UUID, step: ArtefactState, problem: Exception) -> None:
    artefact = Artefact.objects.select_for_update().get(pk=artefact_id)
    if following(artefact.kind, artefact.state) is not step:
        return
    now = clock.now()
    artefact.attempts += 1
    artefact.problem = (str(problem) or type(problem).__name__)[:500]
    artefact.retry_at = now + pause(artefact.attempts) if now < artefact.requested_at + GIVE_UP else None
    artefact.save(update_fields=["attempts", "problem", "retry_at"])


def _keep(
    artefact: Artefact, kind: ArtefactFile.Kind, name: str, media_type: str, content: bytes
) -> ArtefactFile:
    return ArtefactFile.objects.create(
        tenant_id=artefact.tenant_id, artefact=artefact, kind=kind, name=name, media_type=media_type,
        content=content, digest=digest(content), size=len(content), made_at=clock.now(),
    )  # fmt: skip


def _sign(artefact: Artefact) -> None:
    """The signed file, and with it the leaf that will stand for it: `sha256sum` of the file is what the leaf names."""
    kept = _a2a_card(artefact) if artefact.kind == ArtefactKind.A2A_CARD else _envelope(artefact)
    PendingLeaf.objects.create(
        tenant_id=artefact.tenant_id,
        kind="artefact",
        subject_id=artefact.pk,
        digest=kept.digest,
        at=kept.made_at,
    )


def _envelope(artefact: Artefact) -> ArtefactFile:
    artefact.key = active_key(tenant=artefact.tenant, purpose=SigningKey.Purpose.EVIDENCE)
    envelope = dsse.sign(bytes(artefact.statement or b""), key=unsealed(artefact.key))
    return _keep(
        artefact, ArtefactFile.Kind.ENVELOPE, f"{artefact.file_stem}.dsse.json", dsse.MEDIA_TYPE, envelope
    )


def _a2a_card(artefact: Artefact) -> ArtefactFile:
    artefact.key = active_key(tenant=artefact.tenant, purpose=SigningKey.Purpose.AGENT_CARD)
    jku = bytes(artefact.scratch or b"").decode()
    signed = agent_cards.sign(bytes(artefact.statement or b""), key=_on_p256(artefact.key), jku=jku)
    artefact.scratch = None
    name = f"{artefact.file_stem}.json"
    return _keep(artefact, ArtefactFile.Kind.CARD, name, "application/json", signed)


def _on_p256(key: SigningKey) -> EllipticCurvePrivateKey:
    private = unsealed(key)
    if not isinstance(private, EllipticCurvePrivateKey):
        raise TypeError(f"{key} is not a key on P-256.")
    return private


def _render(artefact: Artefact) -> None:
    envelope = artefact.files.get(kind=ArtefactFile.Kind.ENVELOPE)
    context = page_of(artefact, bytes(artefact.statement or b""), envelope.digest)
    html = render_to_string(f"evidence/pdf/{artefact.kind}.html", context)
    signed_at = datetime.fromisoformat(artefact.times[ArtefactState.SIGNED])
    artefact.scratch = pdf.render(
        html,
        files={envelope.name: bytes(envelope.content)},
        identifier=artefact.typeid.encode(),
        at=signed_at,
    )


def page_of(artefact: Artefact, statement: bytes, envelope_digest: str) -> dict[str, Any]:
    """What the template of a PDF is given: nothing but what the statement says, and how to verify it."""
    said = _seen(json.loads(statement))
    return {
        "artefact": artefact,
        "statement": said,
        "said": said["predicate"],
        "kid": artefact.key.kid if artefact.key else "",
        "envelope_digest": envelope_digest,
        "envelope_name": f"{artefact.file_stem}.dsse.json",
        "verify_url": f"{settings.PUBLIC_URL}/evidence/verify/" if settings.PUBLIC_URL else "",
    }


def _seen(value: Any) -> Any:
    """The same with what no page can show put as a question mark: a PDF's description takes no control characters."""
    if isinstance(value, dict):
        return {name: _seen(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_seen(item) for item in value]
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in value)
    return value


def _sign_pdf(artefact: Artefact) -> None:
    key = active_key(tenant=artefact.tenant, purpose=SigningKey.Purpose.PDF)
    private = unsealed(key)
    if not isinstance(private, EllipticCurvePrivateKey):
        raise TypeError("PDFs are signed with a key on P-256.")
    kind = ArtefactKind(artefact.kind).label
    signed = pades.sign(
        bytes(artefact.scratch or b""),
        key=private,
        certificate=key.certificate,
        reason=f"{kind} issued by ARM",
    )
    artefact.scratch = None
    _keep(artefact, ArtefactFile.Kind.PDF, f"{artefact.file_stem}.pdf", "application/pdf", signed)


def _assemble(artefact: Artefact) -> None:
    artefact.statement, artefact.scratch = assemble(artefact)


def _pack(artefact: Artefact) -> None:
    envelope = artefact.files.get(kind=ArtefactFile.Kind.ENVELOPE)
    packed = pack(artefact, bytes(artefact.scratch or b""), envelope)
    artefact.scratch = None
    _keep(artefact, ArtefactFile.Kind.PACK, f"{artefact.file_stem}.zip", "application/zip", packed)


def _log(artefact: Artefact) -> None:
    seal_log(tenant=artefact.tenant)
    leaf = Leaf.objects.filter(tenant=artefact.tenant_id, kind="artefact", subject_id=artefact.pk).first()
    if leaf is None or inclusion_proof(leaf) is None:
        raise NotInTheLog("No checkpoint covers it yet.")


def _verify(artefact: Artefact) -> None:
    wrong = [check for check in checks_of(artefact) if not check.ok]
    if wrong:
        raise NotVerified("; ".join(f"{check.name}: {check.detail}" for check in wrong))


_STEPS = {
    ArtefactState.ASSEMBLED: _assemble,
    ArtefactState.SIGNED: _sign,
    ArtefactState.RENDERED: _render,
    ArtefactState.PDF_SIGNED: _sign_pdf,
    ArtefactState.PACKED: _pack,
    ArtefactState.LOGGED: _log,
    ArtefactState.VERIFIED: _verify,
}
