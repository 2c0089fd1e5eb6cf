"""What tests of documents share: a version worth a card, and the steps taken as the processes take them."""

from typing import Any

from arm.models import Tenant, User
from evidence.lifecycle import following
from evidence.models import Artefact
from evidence.services import seal_log
from evidence.services.steps import take_step
from registry import services
from registry.models import AgentVersion, VersionEvidence
from tests import make


def version(**kw: Any) -> AgentVersion:
    """An approved version of an agent that says what it is for."""
    template = kw.pop("template", None) or make.template(
        "refunds", name="Refunds", intended_use="Refunds up to 200 EUR.", out_of_scope="Anything else."
    )
    return make.approved(template=template, **kw)


def card(of: AgentVersion, actor: User) -> VersionEvidence:
    return services.issue_card(version=of, actor=actor, reason="for the auditor")


def finish(artefact: Artefact) -> Artefact:
    """Take every step that is left, as signer and worker do. Stops where one fails."""
    while not artefact.arrived:
        step = following(artefact.kind, artefact.state)
        assert step is not None
        take_step(artefact_id=artefact.pk, step=step)
        before, artefact = artefact, Artefact.objects.get(pk=artefact.pk)
        if artefact.problem or artefact.state == before.state:
            break
    return artefact


def seal(tenant: Tenant) -> None:
    """Until nothing waits for its leaf: the first checkpoint makes a key, which is a record as well."""
    while seal_log(tenant=tenant).leaves:
        pass
