"""Proofs: what a provider's attest key has signed about an instance, checked against what ARM wants of it."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from arm import changes, clock, crypto, ids
from arm.errors import Invalid
from evidence.signing import dsse
from evidence.signing.keys import from_jwk
from registry.models import AgentInstance

from ..models import AdapterSession, Attestation, Command, Desired, InstanceReport, ProviderClient
from ..protocol.attesting import Check, Expected, first_failure, judge, subject_instance
from ..protocol.commands import CommandEvent, after
from ..protocol.reading import fitting, writable
from ..protocol.refusals import Refused
from .fencing import hold_session
from .orders import hold
from .reports import weigh


@transaction.atomic
def take_attestation(*, session: AdapterSession, envelope: bytes) -> tuple[Attestation, bool]:
    """The attestation, kept with every check whether or not it convinced; False where it had come before.

    One that convinces enforces its command and implies the acknowledgement. Refused `envelope-malformed` (400) only for
    what cannot be read at all.
    """
    hold_session(session)
    client = session.client
    digest = crypto.digest(envelope)
    statement, signed = _read(envelope, client)
    misfit = _misfit(statement)
    known = Attestation.objects.filter(client=client, digest=digest).first()
    if known is not None:
        return known, False
    instance = _instance(subject_instance(statement))
    hold(AgentInstance.objects.filter(pk__in=[instance] if instance else [], provider=client.provider_id))
    desired = (
        Desired.objects.select_for_update(of=("self",))
        .select_related("instance")
        .filter(instance=instance, instance__provider=client.provider_id)
        .first()
        if instance
        else None
    )
    expected = None
    if desired is not None:
        expected = Expected(
            desired.instance.typeid, desired.generation, desired.sha256, desired.run_state, session.epoch
        )
    checks = judge(statement, signed=signed, expected=expected, wrong=misfit)
    wrong = first_failure(checks)
    command = (
        Command.objects.select_for_update()
        .filter(instance=desired.instance_id, generation=desired.generation)
        .first()
        if desired
        else None
    )
    now = clock.now()
    row = Attestation.objects.create(
        tenant_id=client.tenant_id,
        client=client,
        instance=desired.instance if desired else None,
        command=command,
        envelope=envelope,
        digest=digest,
        received_at=now,
        ok=wrong is None,
        code=wrong.code if wrong else "",
        checks=[check.plain() for check in checks],
    )
    if wrong is None and desired is not None and command is not None:
        said = statement.predicate
        _enforce(command, datetime.fromisoformat(said["appliedAt"]), now, row)
        _note(session, desired, said["adapter"]["seq"], now)
    return row, True


def failed(attestation: Attestation) -> Check | None:
    """The first check that failed, as it was kept."""
    for check in attestation.checks:
        if not check["ok"]:
            return Check(check["name"], False, check["detail"], attestation.code)
    return None


def _read(envelope: bytes, client: ProviderClient) -> tuple[dsse.Statement, bool]:
    try:
        read = dsse.read(envelope)
        statement = dsse.read_statement(read.payload)
    except dsse.BadEnvelope as problem:
        raise Refused("envelope-malformed", 400, str(problem), pointer=problem.where) from problem
    try:
        dsse.verify(envelope, {client.attest_kid: from_jwk(client.attest_jwk)})
    except dsse.BadEnvelope:
        return statement, False
    return statement, True


def _misfit(statement: dsse.Statement) -> str:
    """The first member of the predicate that is wrong, in a sentence; empty where it fits its schema."""
    if not writable(statement.predicate):
        return "A text holds NUL or half a surrogate pair."
    try:
        fitting(statement.predicate, "enforcement")
    except Invalid as problem:
        first = problem.errors[0]
        return f"{first['pointer'] or '/'}: {first['message']}"
    return ""


def _instance(text: str) -> UUID | None:
    try:
        return ids.decode("ins", text)
    except ValueError:
        return None


def _enforce(command: Command, applied: datetime, now: datetime, proof: Attestation) -> None:
    before = command.state
    command.state = after(before, CommandEvent.ATTEST)
    command.acked_at = command.acked_at or now
    command.applied_at, command.attested_at = applied, now
    if command.state != before:
        command.finished_at = now
        latency = round((now - command.decided_at).total_seconds() * 1000)
        changes.record(
            None,
            "federation.command.enforced",
            command,
            before={"state": before},
            after={"state": command.state, "attestation": proof.typeid, "after_ms": latency},
            links=[command.instance.typeid, proof.typeid],
        )
    command.save(update_fields=["state", "acked_at", "applied_at", "attested_at", "finished_at"])


def _note(session: AdapterSession, desired: Desired, seq: int, now: datetime) -> None:
    """The proof is the newest word about the instance, unless a newer one has come already."""
    rows = InstanceReport.objects.select_for_update(of=("self",)).select_related("instance")
    report = rows.filter(instance=desired.instance_id).first()
    if report is None:
        report = InstanceReport(
            tenant_id=desired.tenant_id,
            provider_id=session.client.provider_id,
            external_id=desired.instance.typeid,
            instance=desired.instance,
            version_id=ids.encode("ver", desired.instance.version_id),
            epoch=0,
            seq=0,
            state="Unknown",
            generation=0,
        )
    report.attested_state, report.attested_generation = desired.run_state, desired.generation
    report.attested_at = now
    if (report.epoch, report.seq) <= (session.epoch, seq):
        report.epoch, report.seq = session.epoch, seq
        report.state, report.generation, report.missing = desired.run_state, desired.generation, False
        report.reported_at = report.confirmed_at = now
    report.save()
    weigh(report, desired, now)
