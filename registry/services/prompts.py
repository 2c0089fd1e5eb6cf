"""The text of a prompt for whoever may read it: its digest computed anew, each look a line of the security log."""

from dataclasses import dataclass
from typing import NoReturn

from django.db.models import F, IntegerField, Q, Value
from django.db.models.expressions import Func

from arm import crypto
from arm import services as core
from arm.errors import NotAllowed, NotFound
from arm.models import ChangeRecord, SecurityEvent, Tenant, User
from arm.permissions import allowed, require
from arm.rights import Right

from ..genome import Json
from ..models import AgentTemplate, AgentVersion, Dependency, Genome, Prompt
from .exchange import Exported, Tampered, intact
from .genomes import read_version
from .integrity import note_tampered


class _Place(Func):
    """Where bytes begin in a column of bytes; 0 where they do not come."""

    template = "position(%(expressions)s)"
    arg_joiner = " in "
    output_field = IntegerField()


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """What a genome says of the prompt, and its bytes; None where the tenant keeps it elsewhere. `text`: None where the
    bytes are no UTF-8."""

    said: dict[str, Json]
    content: bytes | None

    @property
    def text(self) -> str | None:
        try:
            return None if self.content is None else self.content.decode()
        except UnicodeDecodeError:
            return None


def read_prompt(*, version: AgentVersion, digest: str, actor: User, held: str = "") -> ReadPrompt:
    """The prompt that the version's genome names by this digest, for who may read prompts on the version and, since any
    draft can name any digest, on the tenant or on the agent that named it first, or has stored it; a line in the security
    log unless the asker has it already (`held` is its digest).

    NotAllowed, with a line in the security log; NotFound where the genome names no such prompt; Tampered where genome or
    prompt do not match their digest, and the incident about that stays.
    """
    require(actor, Right.READ_DIRECTORY, version)
    label, detail = f"prompt {digest[:19]} of {version}", {"version": version.typeid, "digest": digest}
    _ask(version, label, actor, version.tenant, detail)
    document = intact(read_version(version)).document
    said = next((one for one in document.get("prompts", ()) if one.get("digest") == digest), None)
    if said is None:
        raise NotFound(f"The genome of {version} names no such prompt.")
    prompt = Prompt.objects.filter(tenant=version.tenant_id, digest=digest).first()
    if prompt is None:
        return ReadPrompt(said, None)
    if not _of_theirs(prompt, version, actor):
        _refuse(prompt, label, actor, prompt.tenant, detail)
    return ReadPrompt(said, _taken(prompt, label, actor, detail, held))


def take_prompt(*, prompt: Prompt, actor: User, held: str = "") -> Exported:
    """The exact stored bytes, for who may read the tenant's prompts; a line in the security log unless the asker has them
    (`held` is their digest), and of a refusal. Tampered as in `read_prompt`."""
    require(actor, Right.READ_DIRECTORY, prompt)
    label, detail = f"prompt {prompt}", {"prompt": prompt.typeid, "digest": prompt.digest}
    _ask(prompt, label, actor, prompt.tenant, detail)
    content = _taken(prompt, label, actor, detail, held)
    name = f"{prompt.digest.removeprefix('sha256:')}.prompt"
    return Exported(content, "application/octet-stream", name, prompt.digest)


def _ask(on: AgentVersion | Prompt, label: str, actor: User, tenant: Tenant, detail: dict[str, str]) -> None:
    if not allowed(actor, Right.READ_PROMPTS, on):
        _refuse(on, label, actor, tenant, detail)


def _refuse(
    on: AgentVersion | Prompt, label: str, actor: User, tenant: Tenant, detail: dict[str, str]
) -> NoReturn:
    core.note_security(SecurityEvent.Kind.REFUSED, label, user=actor, tenant=tenant, detail=detail)
    right = Right.READ_PROMPTS
    raise NotAllowed(f"You may not {right.words}: {on}.", right=right.value, on=str(on))


def _of_theirs(prompt: Prompt, version: AgentVersion, actor: User) -> bool:
    if allowed(actor, Right.READ_PROMPTS, prompt):
        return True
    first = _named_first(prompt, version)
    if first is not None and allowed(actor, Right.READ_PROMPTS, first):
        return True
    stored = ChangeRecord.objects.about(prompt).filter(verb="registry.prompt.stored", actor_id=actor.pk)
    return stored.exists()


def _named_first(prompt: Prompt, version: AgentVersion) -> AgentTemplate | None:
    """The agent whose genome was the first to name it. Genomes tell: what a draft uses is written anew with each change
    of it, its genomes stay. Asked are only those of agents that use the prompt now."""
    using = Dependency.objects.filter(
        tenant=prompt.tenant_id, kind=Dependency.Kind.PROMPT, name=prompt.digest
    ).values("template")
    named = Value(prompt.digest.encode())
    rows = (
        Genome.objects.filter(
            Q(template__in=using) | Q(template=version.template_id), tenant=prompt.tenant_id
        )
        .annotate(place=_Place(named, F("content")))
        .filter(place__gt=0)
        .order_by("created_at", "pk")
    )
    for genome in rows.select_related("template").iterator():
        if any(one.get("digest") == prompt.digest for one in genome.document().get("prompts", ())):
            return genome.template
    return None


def _taken(prompt: Prompt, label: str, actor: User, detail: dict[str, str], held: str = "") -> bytes:
    content = bytes(prompt.content)
    if (computed := crypto.digest(content)) != prompt.digest:
        note_tampered(prompt, computed)
        said = "The stored prompt does not match its digest; it is not handed out."
        raise Tampered(said, digest=prompt.digest, computed=computed)
    if held != prompt.digest:
        core.note_security(
            SecurityEvent.Kind.EXPORTED, label, user=actor, tenant=prompt.tenant, detail=detail
        )
    return content
