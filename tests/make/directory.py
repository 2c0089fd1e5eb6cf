"""Agents, their builds and instances, and the places where they work."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from arm import clock, crypto
from arm.models import ApiKey, User
from evidence.models import Artefact
from evidence.signing import dsse
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    BulkRun,
    Dependency,
    DeploymentSlot,
    Environment,
    Genome,
    Handover,
    InstanceInterval,
    InstanceStatus,
    IntegrityFinding,
    IntegritySweep,
    KeyScope,
    Project,
    Prompt,
    Provider,
    ReleaseException,
    RoleAssignment,
    RoleDefinition,
    Rollback,
    Rollout,
    RolloutSlot,
    RolloutStep,
    Thing,
    VersionApproval,
    VersionEvidence,
)

from .core import _n, _tenant, key, user


def environment(slug: str = "", **kw: Any) -> Environment:
    number = next(_n)
    slug = slug or f"env-{number}"
    return Environment.objects.create(
        tenant=_tenant(kw), slug=slug, **{"name": slug, "position": number, "production": slug == "prod"} | kw
    )


def provider(slug: str = "", **kw: Any) -> Provider:
    slug = slug or f"provider-{next(_n)}"
    return Provider.objects.create(tenant=_tenant(kw), slug=slug, **{"name": slug} | kw)


def template(slug: str = "", **kw: Any) -> AgentTemplate:
    slug = slug or f"agent-{next(_n)}"
    return AgentTemplate.objects.create(tenant=_tenant(kw), slug=slug, **{"name": slug} | kw)


def genome_document(template: AgentTemplate, **members: Any) -> dict[str, Any]:
    """A complete genome as JSON values."""
    return {
        "schema": "arm.genome/v1",
        "template": template.typeid,
        "models": [{"role": "primary", "provider": "openai", "name": "gpt-4o", "revision": "2024-08-06"}],
        "prompts": [
            {"role": "system", "media_type": "text/plain", "digest": "sha256:" + "a" * 64, "size": 12}
        ],
        "tools": [
            {
                "name": "search",
                "kind": "function",
                "schema_digest": "sha256:" + "b" * 64,
                "description_digest": "sha256:" + "c" * 64,
                "risk": "GREEN",
                "side_effect": False,
                "scopes": [],
            }
        ],
        "provenance": {
            "source_repo": "https://git.example/agents",
            "commit": "0" * 40,
            "builder": "ci",
            "materials": [],
        },
        "behavior": {"autonomy_tier_max": 2},
    } | members


def genome(**kw: Any) -> Genome:
    """A stored genome: its bytes are canonical, its digest is theirs. `members` override the document's."""
    owner = kw.pop("template", None) or template()
    document = genome_document(owner, **kw.pop("members", {"x_serial": str(next(_n))}))
    content = crypto.canonical(document)
    return Genome.objects.create(
        tenant=owner.tenant, template=owner, content=content, digest=crypto.digest(content), **kw
    )


def prompt(text: str = "Be kind.", **kw: Any) -> Prompt:
    content = text.encode()
    return Prompt.objects.create(
        tenant=_tenant(kw), content=content, digest=crypto.digest(content), size=len(content), **kw
    )


def version(**kw: Any) -> AgentVersion:
    owner = kw.pop("template", None) or template()
    kw.setdefault("genome", None)
    kw["genome"] = kw["genome"] or genome(template=owner)
    number = AgentVersion.objects.filter(template=owner).count() + 1
    return AgentVersion.objects.create(tenant=owner.tenant, template=owner, **{"number": number} | kw)


def approved(**kw: Any) -> AgentVersion:
    return version(state=VersionState.APPROVED, **kw)


def version_approval(name: str, version: AgentVersion, nth: int = 1, **kw: Any) -> VersionApproval:
    """Given by a new member with this name."""
    return VersionApproval.objects.create(
        tenant=version.tenant,
        version=version,
        template=version.template,
        genome_digest=version.genome.digest,
        person=user(name, member_of=version.tenant),
        nth=nth,
        **{"round": version.candidate_round, "reason": f"{name} looked at it"} | kw,
    )


def instance(**kw: Any) -> AgentInstance:
    """An active instance of an approved version, with its status row and its open interval; one that is stopped has worked
    a second before."""
    build = kw.pop("version", None) or approved()
    place = kw.pop("environment", None) or environment(tenant=build.tenant)
    at = kw.pop("provider", None) or provider(tenant=build.tenant)
    row = AgentInstance.objects.create(
        tenant=build.tenant,
        version=build,
        template=build.template,
        environment=place,
        provider=at,
        **{"name": f"instance-{next(_n)}", "state": InstanceState.ACTIVE} | kw,
    )
    InstanceStatus.objects.create(instance=row, tenant=build.tenant)
    now = clock.now()
    if row.state in (InstanceState.PAUSED, InstanceState.QUARANTINED):
        was = now - timedelta(seconds=1)
        InstanceInterval.objects.create(
            tenant=build.tenant, instance=row, version=build, state=InstanceState.ACTIVE,
            since=was, until=now, known_from=was,
        )  # fmt: skip
    InstanceInterval.objects.create(
        tenant=build.tenant, instance=row, version=build, state=row.state, since=now, known_from=now
    )
    return row


def bulk(of: Any, actor: User) -> BulkRun:
    """An act on one row that waits to be previewed."""
    run = BulkRun.objects.create(
        tenant=of.tenant, actor=actor, action="add_tag", params={"tag": "x"}, total=1
    )
    run.rows.create(tenant=of.tenant, target_id=of.pk, label=str(of), url=of.get_absolute_url())
    return run


def role(slug: str = "", **kw: Any) -> RoleDefinition:
    slug = slug or f"role-{next(_n)}"
    return RoleDefinition.objects.create(tenant=_tenant(kw), slug=slug, **{"name": slug} | kw)


def role_assignment(**kw: Any) -> RoleAssignment:
    """An approved version does a job in an environment, since now."""
    build = kw.pop("version", None) or approved()
    defaults = {"role": None, "environment": None, "reason": "test"} | kw
    defaults["role"] = defaults["role"] or role(tenant=build.tenant)
    defaults["environment"] = defaults["environment"] or environment(tenant=build.tenant)
    return RoleAssignment.objects.create(tenant=build.tenant, version=build, **defaults)


def slot(**kw: Any) -> DeploymentSlot:
    place = kw.pop("environment", None) or environment()
    defaults = {"role": None, "provider": None} | kw
    defaults["role"] = defaults["role"] or role(tenant=place.tenant)
    defaults["provider"] = defaults["provider"] or provider(tenant=place.tenant)
    return DeploymentSlot.objects.create(tenant=place.tenant, environment=place, **defaults)


def releases(slot: DeploymentSlot, version: AgentVersion, by: User) -> list[Any]:
    """A planned rollout into the slot, a rollback, what works on since, and an exception."""
    rollout = Rollout.objects.create(
        tenant=slot.tenant, environment=slot.environment, role=slot.role, version=version, strategy="all",
        reason="test", created_by=by,
    )  # fmt: skip
    RolloutStep.objects.create(tenant=slot.tenant, rollout=rollout, number=1)
    RolloutSlot.objects.create(tenant=slot.tenant, rollout=rollout, slot=slot)
    back = Rollback.objects.create(
        tenant=slot.tenant, slot=slot, from_version=approved(template=version.template), to_version=version,
        reason="test", actor=by, actor_label=str(by), change_id=UUID(int=1), dossier={"instances": {}},
    )  # fmt: skip
    handover = Handover.objects.create(
        tenant=slot.tenant, slot=slot, version=back.from_version, wanted=1, rollback=back, reason="test", actor=by,
        actor_label=str(by), until=clock.now() + timedelta(hours=1),
    )  # fmt: skip
    exception = ReleaseException.objects.create(
        tenant=slot.tenant, slot=slot, version=version, gate="channel order", reason="test", granted_by=by,
        until=clock.now() + timedelta(hours=1),
    )  # fmt: skip
    return [rollout, back, handover, exception]


def workload_token(of: AgentInstance) -> str:
    """A live workload token that speaks for this instance."""
    row, token = key(ApiKey.Kind.WORKLOAD, tenant=of.tenant)
    KeyScope.objects.create(tenant=of.tenant, key=row, instance=of)
    return token


def ingest_token(environment: Environment, provider: Provider) -> str:
    """A live ingest key for a provider in an environment."""
    row, token = key(ApiKey.Kind.INGEST, tenant=environment.tenant)
    KeyScope.objects.create(tenant=environment.tenant, key=row, environment=environment, provider=provider)
    return token


def card(of: AgentVersion) -> VersionEvidence:
    """An Agent Card that was asked for, and of which nothing is made yet."""
    statement = dsse.statement(
        subjects={"genome.json": of.genome.digest.removeprefix("sha256:")},
        predicate_type="https://arm.example/evidence/agent-card/v1",
        predicate={},
    )
    artefact = Artefact.objects.create(
        tenant=of.tenant, kind="agent_card", subject_kind=of._meta.label_lower, subject_id=of.pk,
        subject_label=str(of), statement=statement, requested_by="test",
    )  # fmt: skip
    return VersionEvidence.objects.create(
        id=artefact.pk, tenant=of.tenant, version=of, template=of.template, artefact=artefact, kind=artefact.kind
    )  # fmt: skip


def integrity(version: AgentVersion) -> list[Any]:
    """A sweep that is over, what it found of this version and was mended since, and a project."""
    now, owner = clock.now(), version.tenant
    sweep = IntegritySweep.objects.create(tenant=owner, phase="done", finished_at=now, genomes=1, wrong=1)
    finding = IntegrityFinding.objects.create(
        tenant=owner, sweep=sweep, genome=version.genome, digest=version.genome.digest,
        computed="sha256:" + "0" * 64, restored_at=now, incident_id=UUID(int=7),
    )  # fmt: skip
    return [sweep, finding, Project.objects.create(tenant=owner, slug="care", name="Care")]


def used_thing(version: AgentVersion, name: str = "search") -> Thing:
    """A tool that the version uses."""
    held = {"tenant": version.tenant, "kind": "tool", "name": name}
    Dependency.objects.create(**held, version=version, template=version.template)
    return Thing.objects.get(**held)
