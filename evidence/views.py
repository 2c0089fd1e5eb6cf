"""The log for people: what it is now, who signs it, every line of it, and the proof of each."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from django.views.generic import View

from arm import db, ids
from arm.panels import rights_of_visitor, seen_by_visitor
from arm.rights import Right
from arm.views import FilteredList, current_tenant

from .filters import LeafFilter
from .models import Checkpoint, Leaf, PendingLeaf, SigningKey
from .queries import inclusion_proof
from .signing import notes
from .signing.keys import ed25519_from_jwk

KEYS_SECONDS = 300
"""For so long a verifier may keep the list of keys."""


@login_not_required
@require_safe
def public_keys(_: HttpRequest) -> JsonResponse:
    """Every public key that has ever signed here, with its validity: who verifies has no account. Tenants are named by
    their identifiers only."""
    with db.tenants(db.all_tenants()):
        keys = [
            {
                "kid": key.kid,
                "jwk": key.jwk,
                "purpose": key.purpose,
                "tenant": ids.encode("ten", key.tenant_id),
                "status": "active" if key.retired_at is None else "retired",
                "not_before": key.not_before,
                "not_after": key.retired_at,
            }
            for key in SigningKey.objects.order_by("pk")
        ]
    answer = JsonResponse({"keys": keys})
    answer["Cache-Control"] = f"public, max-age={KEYS_SECONDS}"
    answer["Access-Control-Allow-Origin"] = "*"
    return answer


class LogPage(FilteredList):
    """Head, newest checkpoint, and the leaves, newest first."""

    queryset = Leaf.objects.order_by("-seq")
    view_right = Right.READ_EVIDENCE
    filterset_class = LeafFilter
    template_name = "evidence/log.html"
    columns = (
        ("number", "seq"),
        ("record", "record"),
        ("leaf", "body"),
        ("hash", lambda leaf: bytes(leaf.hash).hex()),
    )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        seen = seen_by_visitor(Checkpoint.objects.select_related("key"), self.request, self.view_right)
        newest = seen.first()
        key = ""
        if newest is not None:
            origin = newest.note.partition("\n")[0]
            key = notes.verifier_key(origin, ed25519_from_jwk(newest.key.jwk).public_bytes_raw())
        waiting = PendingLeaf.objects.filter(tenant=current_tenant(self.request)).order_by("pk")
        return super().get_context_data(
            checkpoint=newest,
            root=bytes(newest.root).hex() if newest else "",
            verifier_key=key,
            waiting=waiting.count(),
            oldest=waiting.first(),
            may_read_records=Right.READ_AUDIT.value in rights_of_visitor(self.request),
            **kwargs,
        )


class LeafProof(View):
    """That a change record is in the log: `c2sp.org/tlog-proof@v1`, as a file."""

    def get(self, request: HttpRequest, record: UUID) -> HttpResponse:
        leaves = Leaf.objects.filter(kind="change", subject_id=record)
        leaf = seen_by_visitor(leaves, request, Right.READ_EVIDENCE).first()
        proof = None if leaf is None else inclusion_proof(leaf)
        if leaf is None or proof is None:
            raise Http404
        answer = HttpResponse(proof.text, content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{leaf.record}.tlog-proof"'
        return answer
