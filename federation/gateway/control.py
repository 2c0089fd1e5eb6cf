"""With a token: sessions and heartbeats, the command channel, desired documents, and proofs."""

import json
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from arm import clock
from arm.errors import NotFound

from .. import services
from ..models import Attestation, Command, Desired
from ..models.clients import LATE_AFTER, LOST_AFTER
from ..protocol import VERSION
from ..protocol.documents import moment
from ..protocol.refusals import Refused
from .base import ProtocolView, body, client_of, envelope, issuer_of, record, session_of

POLL_SECONDS = 10
HEARTBEAT_SECONDS = 20


class Sessions(ProtocolView):
    """The handshake."""

    def post(self, request: Request) -> Response:
        said = body(request, "session")
        session = services.open_session(client=client_of(request), said=said, issuer=issuer_of(request))
        answer = {
            "session_id": session.typeid,
            "epoch": session.epoch,
            "protocol_version": VERSION,
            "server_time": moment(clock.now()),
            "heartbeat": {
                "interval_s": HEARTBEAT_SECONDS,
                "late_after_s": round(LATE_AFTER.total_seconds()),
                "lost_after_s": round(LOST_AFTER.total_seconds()),
            },
            "poll": {
                "max_interval_s": POLL_SECONDS,
                "max_wait_s": 0,
                "max_events": services.MOST_EVENTS,
                "lease_s": round(services.LEASE.total_seconds()),
            },
            "deadlines": {
                "ack_s": round(services.ACK_WITHIN.total_seconds()),
                "enforce_s": round(services.ENFORCE_WITHIN.total_seconds()),
            },
            "inventory": {"full_required": True, "page_max": 500, "full_every_s": 86_400},
            "required_actions": ["report_full_inventory"],
        }
        return Response(answer, status=201)


class Session(ProtocolView):
    """The goodbye."""

    def delete(self, request: Request, pk: UUID) -> Response:
        services.close_session(client=client_of(request), session=pk)
        return Response(status=204)


class Heartbeat(ProtocolView):
    def post(self, request: Request, pk: UUID) -> Response:
        said = body(request, "heartbeat")
        beat = services.heartbeat(client=client_of(request), session=pk, said=said)
        return Response(answer_of(beat))


class Poll(ProtocolView):
    """RFC 8936. This server does not hold the answer back: an empty one says when to come again."""

    def post(self, request: Request) -> Response:
        said = body(request, "poll")
        batch = services.poll(
            session=session_of(request),
            most=said.get("maxEvents", services.MOST_EVENTS),
            acks=said.get("ack", ()),
            errors=said.get("setErrs", {}),
        )
        headers = {} if batch.sets else {"Retry-After": str(POLL_SECONDS)}
        return Response({"sets": batch.sets, "moreAvailable": batch.more}, headers=headers)


class CommandStatus(ProtocolView):
    def post(self, request: Request, pk: UUID) -> Response:
        said = body(request, "command-status")
        command = services.take_status(session=session_of(request), command=pk, said=said)
        return Response({"state": command.state, "terminal": not command.open})


class DesiredList(ProtocolView):
    """Every desired document of the provider: who lives on this alone misses nothing."""

    def get(self, request: Request) -> Response:
        session_of(request)
        rows = Desired.objects.filter(instance__provider=client_of(request).provider_id).exclude(sha256="")
        return Response({"items": [_item(row) for row in rows.select_related("instance").order_by("pk")]})


class DesiredOne(ProtocolView):
    def get(self, request: Request, pk: UUID) -> Response:
        session_of(request)
        rows = Desired.objects.filter(instance__provider=client_of(request).provider_id, instance=pk)
        row = rows.exclude(sha256="").select_related("instance").first()
        if row is None:
            raise NotFound("Nothing is wanted of such an instance of this provider.")
        return Response(_item(row))


class Attestations(ProtocolView):
    """The body is the envelope itself."""

    scope = "attest:write"

    def post(self, request: Request) -> Response:
        data = envelope(request)
        try:
            session = session_of(request)
            row, fresh = services.take_attestation(session=session, envelope=data)
        except Refused as refusal:  # a claim is on the record even where it is too late to be checked
            refusal.recorded = True
            raise
        if fresh and not row.ok:
            wrong = services.failed(row)
            said = wrong.detail if wrong else ""
            record(session.client, row.code, said, attestation=row.typeid)
        return Response(_checked(row), status=201 if fresh and row.ok else 200)


def answer_of(beat: services.Beat) -> dict[str, Any]:
    """What a heartbeat is answered with, by the view and by the lane."""
    return {
        "server_time": moment(clock.now()),
        "recv_at": moment(beat.received_at),
        "gap_ms": beat.gap_ms,
        "late": beat.late,
        "flags": list(beat.flags),
        "pending": beat.pending,
    }


def _item(row: Desired) -> dict[str, Any]:
    return {
        "instance_id": row.instance.typeid,
        "generation": row.generation,
        "desired": json.loads(bytes(row.document)),
        "sha256": row.sha256,
    }


def _checked(row: Attestation) -> dict[str, Any]:
    command = Command.objects.filter(pk=row.command_id).first() if row.command_id else None
    return {
        "id": row.typeid,
        "ok": row.ok,
        "code": row.code,
        "level": "E2" if row.ok else "E0",
        "command_state": command.state if command else None,
        "checks": row.checks,
    }
