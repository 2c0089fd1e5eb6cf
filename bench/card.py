"""An Agent Card against the bare rendering of its page: statement, PDF/A with the statement inside, and its signature.

Bare is WeasyPrint alone with the same HTML: no PDF/A, no file inside, no database, no signature.
"""

import os
import statistics
import time

import weasyprint
from django.conf import settings
from django.template.loader import render_to_string
from django_q.models import OrmQ

from arm import db
from arm.models import Tenant
from evidence.lifecycle import ArtefactState
from evidence.models import Artefact, ArtefactFile
from evidence.services import seal_log
from evidence.services.steps import page_of, take_step
from registry import services
from registry.models import AgentVersion
from tests import make

from .harness import Figure

TIMES, MORE = 1.2, 0.3
STEPS = (ArtefactState.SIGNED, ArtefactState.RENDERED, ArtefactState.PDF_SIGNED)


def run(quick: bool) -> list[Figure]:
    """Seconds of a card and of its page alone: medians, taken in turns."""
    os.environ.setdefault("ARM_KEY_ENCRYPTION_KEY", "of the bench")
    settings.KEY_ENCRYPTION_KEY = settings.KEY_ENCRYPTION_KEY or "of the bench"
    tenant = make.tenant("bench")
    with db.tenants([tenant.pk]):
        version, alice = _subject(tenant)
    bare, whole = [], []
    for _ in range(3 if quick else 15):
        with db.tenants([tenant.pk]):
            held = services.issue_card(version=version, actor=alice, reason="bench")
            began = time.perf_counter()
        for step in STEPS:
            with db.tenants([tenant.pk]):
                take_step(artefact_id=held.pk, step=step)
        whole.append(time.perf_counter() - began)
        with db.tenants([tenant.pk]):
            artefact = Artefact.objects.get(pk=held.pk)
            assert artefact.state == ArtefactState.PDF_SIGNED, artefact.problem
            envelope = artefact.files.get(kind=ArtefactFile.Kind.ENVELOPE)
            html = render_to_string(
                "evidence/pdf/agent_card.html",
                page_of(artefact, bytes(artefact.statement or b""), envelope.digest),
            )
            began = time.perf_counter()
            weasyprint.HTML(string=html, base_url="about:blank").write_pdf()
            bare.append(time.perf_counter() - began)
            for step in (ArtefactState.LOGGED, ArtefactState.VERIFIED):
                take_step(artefact_id=held.pk, step=step)
            seal_log(tenant=tenant)
            OrmQ.objects.all().delete()
    page, card = statistics.median(bare), statistics.median(whole)
    return [
        Figure("card_page_bare", page, "s"),
        Figure("card_whole", card, "s", TIMES * page + MORE, card / page),
    ]


def _subject(tenant: Tenant) -> tuple[AgentVersion, object]:
    """A version with a page of its own size: forty tools, models, limits."""
    template = make.template(
        "refunds", tenant=tenant, name="Refunds", intended_use="Refunds.", out_of_scope="Else."
    )
    tool = make.genome_document(template)["tools"][0]
    tools = [
        {**tool, "name": f"tool_{number}", "risk": ("GREEN", "YELLOW", "RED")[number % 3]}
        for number in range(40)
    ]
    genome = make.genome(template=template, members={"tools": tools})
    return make.approved(template=template, genome=genome), make.everything(
        make.user("alice", member_of=tenant), tenant
    )
