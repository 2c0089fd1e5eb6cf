"""The log for people: what it is now, who signs it, every line of it, and the proof of each."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe
from django.views.generic import FormView, View

from arm import db
from arm.crypto import digest
from arm.panels import rights_of_visitor, seen_by_visitor
from arm.rights import Right
from arm.views import FilteredList, current_tenant

from .filters import LeafFilter
from .forms import VerifyForm
from .models import Checkpoint, Leaf, PendingLeaf, SigningKey
from .queries import a2a_keys, inclusion_proof, keyring_of, made_here, published
from .signing import checking, notes, unpacking
from .signing.keys import ed25519_from_jwk

KEYS_SECONDS = 300
"""For so long a verifier may keep the list of keys."""


@login_not_required
@require_safe
def public_keys(_: HttpRequest) -> JsonResponse:
    """Every public key that has ever signed here, with its validity: who verifies has no account. Tenants are named by
    their identifiers only."""
    with db.tenants(db.all_tenants()):
        return _for_everybody(published(SigningKey.objects.all()))


@login_not_required
@require_safe
def public_a2a_keys(_: HttpRequest) -> JsonResponse:
    """The keys of A2A agent cards, as a JSON Web Key Set: where the `jku` of a card leads."""
    with db.tenants(db.all_tenants()):
        return _for_everybody(a2a_keys(SigningKey.objects.all()))


def _for_everybody(document: dict[str, Any]) -> JsonResponse:
    answer = JsonResponse(document)
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
            artefact_page=settings.ARTEFACT_PAGE,
            may_read_records=Right.READ_AUDIT.value in rights_of_visitor(self.request),
            **kwargs,
        )


class LeafProof(View):
    """That what a leaf is about is in the log: `c2sp.org/tlog-proof@v1`, as a file."""

    def get(self, request: HttpRequest, kind: str, about: UUID) -> HttpResponse:
        leaves = Leaf.objects.filter(kind=kind, subject_id=about)
        leaf = seen_by_visitor(leaves, request, Right.READ_EVIDENCE).first()
        proof = None if leaf is None else inclusion_proof(leaf)
        if leaf is None or proof is None:
            raise Http404
        answer = HttpResponse(proof.text, content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{leaf.record}.tlog-proof"'
        return answer


class VerifyFile(FormView[VerifyForm]):
    """Checks a file that somebody was given, with the keys of the tenant; nothing of it is kept."""

    form_class = VerifyForm
    template_name = "evidence/verify.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if Right.READ_EVIDENCE.value not in rights_of_visitor(request):
            raise PermissionDenied
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(artefact_page=settings.ARTEFACT_PAGE, **kwargs)

    def form_valid(self, form: VerifyForm) -> HttpResponse:
        file = form.cleaned_data["file"]
        data = file.read()
        ring = keyring_of(SigningKey.objects.filter(tenant=current_tenant(self.request)))
        checks = (
            list(unpacking.examine(data, ring)) if unpacking.is_zip(data) else checking.examine(data, ring)
        )
        context = {
            "checks": checks,
            "good": all(check.ok for check in checks),
            "name": file.name,
            "digest": digest(data),
            "known": made_here(current_tenant(self.request), data),
        }
        return self.render_to_response(self.get_context_data(form=form, **context))
