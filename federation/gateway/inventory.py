"""With a token: full inventories, page by page."""

from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from arm.errors import NotFound

from .. import services
from ..models import Snapshot
from ..protocol.reading import PAGE_BYTES
from ..protocol.schemas import MOST_COUNT
from .base import ProtocolView, body, session_of


class InventoryView(ProtocolView):
    scope = "inventory:write"


class Snapshots(InventoryView):
    def post(self, request: Request) -> Response:
        snapshot = services.open_snapshot(session=session_of(request))
        return Response({"snapshot_id": snapshot.typeid}, status=201)


class Page(InventoryView):
    prefix = Snapshot.prefix

    def put(self, request: Request, pk: UUID, number: int) -> Response:
        if not 0 <= number <= MOST_COUNT:
            raise NotFound(f"Pages have numbers of up to {MOST_COUNT}.")
        said = body(request, "snapshot-page", PAGE_BYTES)
        services.put_page(
            session=session_of(request), snapshot=pk, number=number, instances=said["instances"]
        )
        return Response(status=204)


class Commit(InventoryView):
    def post(self, request: Request, pk: UUID) -> Response:
        said = body(request, "snapshot-commit")
        snapshot = services.commit_snapshot(session=session_of(request), snapshot=pk, said=said)
        held = snapshot.state == Snapshot.State.HELD
        answer: dict[str, Any] = {
            "state": "needs_confirmation" if held else "committed",
            "count": snapshot.count,
            "missing": snapshot.missing,
            "rejected": snapshot.rejected,
        }
        return Response(answer, status=202 if held else 200)
