"""Genomes as they are stored: checked, sealed, never changed, and verified whenever they are read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction

from arm import changes, crypto
from arm.errors import Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import require
from arm.rights import Right

from .. import genome as genomes
from ..genome import Json
from ..genome.leaks import secret_in
from ..models import MAX_PROMPT_BYTES, AgentTemplate, AgentVersion, Dependency, DirectoryRules, Genome, Prompt
from .asking import Duplicate, refuse
from .integrity import note_another, note_tampered


@dataclass(frozen=True, slots=True)
class ReadGenome:
    """A genome as read just now. Without `intact`, what is stored is not what its digest says, or not the genome that
    was `recorded` when it was chosen for its version (None: nothing was, or no version was asked about)."""

    genome: Genome
    document: dict[str, Json]
    computed: str
    recorded: str | None = None

    @property
    def sealed(self) -> str:
        """The digest that it should have."""
        return self.recorded or self.genome.digest

    @property
    def intact(self) -> bool:
        return self.computed == self.genome.digest == self.sealed


def read_genome(*, genome: Genome, version: AgentVersion | None = None) -> ReadGenome:
    """Recompute the digest over the stored bytes; of a version's, hold it against the record that chose it as well.
    A mismatch opens a tamper incident, is marked and shown."""
    content = bytes(genome.content)
    computed = crypto.digest(content)
    if computed != genome.digest:
        note_tampered(genome, computed)
    read = ReadGenome(genome, _document(content), computed, version.recorded_genome if version else None)
    if version is not None and computed == genome.digest and not read.intact:
        assert read.recorded is not None
        note_another(version, read.recorded)
    return read


def read_version(version: AgentVersion) -> ReadGenome:
    """`read_genome` of a version, which is held against its records."""
    return read_genome(genome=version.genome, version=version)


def _document(content: bytes) -> dict[str, Json]:
    """The bytes as JSON, or nothing where tampering has left none: the page then shows the mismatch alone."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def store_genome(template: AgentTemplate, document: dict[str, Json], actor: User) -> Genome:
    """The template's genome with this content, made if it is not there yet. Where the document does not say its `schema`
    and `template`, they are filled in before it is hashed. Invalid names every wrong member.

    For the services of versions, which have asked for the right and hold the template.
    """
    document = with_schema(document, template)
    if unwritable := genomes.unwritable(document):
        raise Invalid("The genome is not I-JSON (RFC 7493).", unwritable)
    problems = genomes.wrong(document)
    if document["template"] != template.typeid and not any(p["pointer"] == "/template" for p in problems):
        message = f"The genome is of another template than {template}, which is {template.typeid}."
        problems.append(Problem(pointer="/template", code="template", message=message))
    if not problems and DirectoryRules.objects.prompts_kept_by(template.tenant_id):
        problems += [problem for problem, _ in Prompt.objects.lacking(template.tenant_id, document)]
    if problems:
        count = f"{len(problems)} members are wrong" if len(problems) > 1 else "One member is wrong"
        raise Invalid(f"The genome is not stored: {count}.", problems)
    sealed = genomes.seal(document)
    held = Genome.objects.filter(template=template, digest=sealed.digest).first()
    if held is not None:
        return held
    return Genome.objects.create(
        tenant_id=template.tenant_id,
        template=template,
        digest=sealed.digest,
        content=sealed.bytes,
        missing=[problem["pointer"][1:] for problem in genomes.missing(document)],
        completeness=genomes.completeness(document),
        build=sealed.unhashed,
        created_by_id=actor.pk,
    )


def with_schema(document: dict[str, Json], template: AgentTemplate) -> dict[str, Json]:
    """The document as it is stored: with the two members that say nothing of the author's, where it leaves them out."""
    said = {
        name: value
        for name, value in document.items()
        if name not in ("schema", "template") or value not in (None, "", [], {})
    }
    return {"schema": genomes.NAME, "template": template.typeid, **said}


def digests_of(document: dict[str, Json], template: AgentTemplate) -> set[str]:
    """The digest that the document is stored under, and that which it had while no schema was filled in. ValueError or
    TypeError where it is no I-JSON."""
    whole = with_schema(document, template)
    bare = {name: value for name, value in whole.items() if name != "schema"}
    return {genomes.seal(one).digest for one in ([whole] if document.get("schema") else [whole, bare])}


def list_dependencies(version: AgentVersion) -> None:
    """Write down what the version's genome uses, in place of what was written before."""
    document = _document(bytes(version.genome.content))
    Dependency.objects.filter(version=version).delete()
    Dependency.objects.bulk_create(
        Dependency(
            tenant_id=version.tenant_id,
            version=version,
            template_id=version.template_id,
            kind=kind,
            name=name,
            detail=detail,
        )
        for (kind, name), detail in dict(_uses(document)).items()
    )


def _uses(document: dict[str, Json]) -> Iterator[tuple[tuple[str, str], dict[str, Json]]]:
    kinds = Dependency.Kind
    for model in document.get("models", ()):
        yield (
            (kinds.MODEL, f"{model['provider']}/{model['name']}"),
            {"role": model["role"], "revision": model["revision"]},
        )
    for prompt in document.get("prompts", ()):
        yield (kinds.PROMPT, prompt["digest"]), {"role": prompt["role"]}
    for tool in document.get("tools", ()):
        kind = kinds.AGENT if tool["kind"] == "a2a" else kinds.TOOL
        yield (
            (kind, tool["name"]),
            {"risk": tool["risk"], "kind": tool["kind"], "server": tool.get("server", "")},
        )
    for source in document.get("data_sources", ()):
        yield (kinds.DATASET, source["id"]), {"class": source["class"], "access": source["access"]}
    for child in document.get("spawn", {}).get("child_templates", ()):
        yield (kinds.AGENT, child), {"spawned": True}


@transaction.atomic
def store_prompt(*, tenant: Tenant, content: bytes, media_type: str, actor: User, reason: str) -> Prompt:
    """Keep a prompt under its digest, once. Duplicate where it is there; reading it needs a right of its own."""
    require(actor, Right.CREATE_VERSION, tenant)
    if not content:
        refuse("/content", "required", "The prompt is empty.")
    if len(content) > MAX_PROMPT_BYTES:
        refuse("/content", "too_large", f"A prompt has at most {MAX_PROMPT_BYTES:,} bytes.")
    if what := secret_in(content.decode(errors="replace")):
        refuse(
            "/content",
            "secret",
            f"It holds what looks like {what}. Take it out, replace it, and refer to it.",
        )
    digest = crypto.digest(content)
    if held := Prompt.objects.filter(tenant=tenant, digest=digest).first():
        raise Duplicate("This prompt is stored already.", held)
    prompt = Prompt.objects.create(
        tenant=tenant, digest=digest, content=content, size=len(content), media_type=media_type
    )
    after = {"digest": digest, "size": len(content), "media_type": media_type}
    changes.record(actor, "registry.prompt.stored", prompt, after=after, reason=reason)
    return prompt
