"""Plain builders: every argument has a default, nothing is random. A tenant made here is in sight of the test."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import F, Model

from arm import changes, clock, crypto, db, ids, services
from arm.models import ApiKey, Membership, RoleBinding, SavedView, Team, Tenant, User, UserGrant
from arm.permissions import grant_models
from arm.rights import Right
from costs.models import Cap, CostModel, LedgerEntry, SpendRollup
from costs.pricing import PICOS, Basis
from evaluation.models import (
    AllowedHost,
    Assignment,
    Certification,
    CertificationType,
    Endpoint,
    Result,
    Run,
    Suite,
    SuiteVersion,
)
from evaluation.scoring import read_suite
from evidence.models import Artefact
from evidence.signing import dsse
from federation.models import AdapterSession, Attestation, Command, Invite, ProviderClient, Snapshot
from policy.engine import SCHEMA, compile_envelope
from policy.lifecycle import ApprovalKind, PolicyState
from policy.models import (
    ApprovalRequest,
    Binding,
    Decision,
    Policy,
    PolicyVersion,
    Posture,
    RestrictionRequest,
    ToolRisk,
)
from registry.lifecycle import InstanceState, VersionState
from registry.models import (
    AgentInstance,
    AgentTemplate,
    AgentVersion,
    BulkRun,
    CardKeySource,
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
    Successor,
    TableImport,
    Thing,
    VersionEvidence,
)
from telemetry.lifecycle import IncidentKind, Severity
from telemetry.models import Code, Event, Incident, Job, QuarantineCount, QuarantinedEvent
from telemetry.parsing import EventType, Status
from telemetry.services import open_incident, partitions

_n = count(1)
_seen: list[Tenant] = []


def forget() -> None:
    """Called before each test: no tenant is known yet."""
    _seen.clear()


def in_sight_of(tenants: Iterable[Tenant]) -> None:
    """What the test's own connection sees: rows of these tenants."""
    with connection.cursor() as cursor:
        value = "{" + ",".join(str(t.pk) for t in tenants) + "}"
        cursor.execute("SELECT set_config('arm.tenants', %s, false)", [value])


def tenant(slug: str = "", **kw: Any) -> Tenant:
    """A tenant, in sight of the test beside those made before."""
    slug = slug or f"tenant-{next(_n)}"
    row = Tenant(slug=slug, **{"name": slug.title()} | kw)
    in_sight_of([*_seen, row])
    row.save(force_insert=True)
    _seen.append(row)
    return row


def _tenant(kw: dict[str, Any]) -> Tenant:
    """The one given, else the first made in this test, else a new one."""
    return kw.pop("tenant", None) or (_seen[0] if _seen else tenant("acme"))


def user(name: str = "", *, member_of: Tenant | None = None, **kw: Any) -> User:
    """A person, a member of `member_of` if given. No rights."""
    row = User.objects.create(username=name or f"user-{next(_n)}", **kw)
    if member_of is not None:
        Membership.objects.create(tenant=member_of, user=row)
    return row


def grant(to: User, on: Model, *rights: Right, **limits: Any) -> RoleBinding:
    """Hand single rights to a person on a scope, as a role binding would (limits: risk_max, expires_at, …)."""
    owner = on if isinstance(on, Tenant) else on.tenant
    binding = RoleBinding.objects.create(
        tenant=owner,
        user=to,
        role="viewer",
        scope_kind=on._meta.label_lower,
        scope_id=on.pk,
        scope_label=str(on),
        reason="test",
        **limits,
    )
    model, permissions = _grants_on(type(on))
    model._default_manager.bulk_create(
        model(
            user=to,
            permission_id=permissions[right.value],
            content_object=on,
            tenant=owner,
            binding=binding,
            **limits,
        )
        for right in rights
    )
    return binding


@cache
def _grants_on(scope: type[Model]) -> tuple[type[UserGrant], dict[str, int]]:
    """The table of people's grants on such a scope, and its permissions: the same rows in every copied database."""
    (model,) = (
        m
        for m in grant_models()
        if issubclass(m, UserGrant) and m._meta.get_field("content_object").related_model is scope
    )
    kind = ContentType.objects.get_for_model(scope)
    return model, dict(Permission.objects.filter(content_type=kind).values_list("codename", "pk"))


def team(name: str = "", **kw: Any) -> Team:
    """A team of nobody yet."""
    owner, name = _tenant(kw), name or f"team-{next(_n)}"
    group = Group.objects.create(name=f"{owner.slug}/{name}")
    return Team.objects.create(tenant=owner, group=group, name=name)


def hired(name: str, role: str, on: Model) -> User:
    """A member who holds a role on a scope, bound by the service as an administrator would."""
    owner = on if isinstance(on, Tenant) else on.tenant
    admin = everything(user(f"hires-{name}", member_of=owner), owner)
    person = user(name, member_of=owner)
    services.bind(principal=person, role=role, scope=on, actor=admin, reason="hired")
    return person


def everything(to: User, on: Model) -> User:
    """Every right on a scope: for tests about something other than rights."""
    grant(to, on, *Right)
    return to


def view(owner: User, **kw: Any) -> SavedView:
    """A saved view of the agents, private unless said."""
    defaults = {"list_name": "registry:template_list", "name": f"view-{next(_n)}", "query": "risk=high"}
    return SavedView.objects.create(tenant=_tenant(kw), owner=owner, **defaults | kw)


def key(kind: ApiKey.Kind, **kw: Any) -> tuple[ApiKey, str]:
    """A key and its secret."""
    token = crypto.new_token(kind.value)
    row = ApiKey.objects.create(
        tenant=_tenant(kw),
        kind=kind,
        digest=crypto.token_digest(token),
        last4=token[-4:],
        **{"name": f"key-{next(_n)}"} | kw,
    )
    return row, token


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


def instance(**kw: Any) -> AgentInstance:
    """An active instance of an approved version, with its status row and its open interval."""
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


def suite_document(*cases: dict[str, Any], category: str = "regression", **members: Any) -> dict[str, Any]:
    """A suite of one case that looks for “hello” in /output, unless cases are given."""
    scorers = [{"scorer": "contains", "field": "/output", "text": "hello"}]
    usual = {"name": "greets", "input": "Say hello.", "scorers": scorers}
    return {"schema": "arm.suite/v1", "category": category, "cases": list(cases) or [usual]} | members


def suite(slug: str = "", *, document: Any = None, **kw: Any) -> Suite:
    """A suite with one version; of `category`, or of a document."""
    owner = _tenant(kw)
    slug = slug or f"suite-{next(_n)}"
    read = read_suite(document or suite_document(category=kw.pop("category", "regression")))
    row = Suite.objects.create(tenant=owner, slug=slug, **{"name": slug, "category": read.category} | kw)
    suite_version(row, document=json.loads(read.content))
    return row


def suite_version(of: Suite, *, document: Any, **kw: Any) -> SuiteVersion:
    read = read_suite(document)
    return SuiteVersion.objects.create(
        tenant=of.tenant,
        suite=of,
        number=of.versions.count() + 1,
        content=read.content,
        digest=read.digest,
        threshold=read.threshold,
        case_count=len(read.cases),
        **kw,
    )


def assigned(template: AgentTemplate, suite_: Suite | None = None, **kw: Any) -> Assignment:
    """A mandatory suite of the agent."""
    row = suite_ or suite(tenant=template.tenant)
    return Assignment.objects.create(tenant=template.tenant, suite=row, template=template, **kw)


def endpoint(template: AgentTemplate, url: str = "https://agent.example/ask", **kw: Any) -> Endpoint:
    return Endpoint.objects.create(tenant=template.tenant, template=template, url=url, **kw)


def run(version: AgentVersion, suite_: Suite | None = None, state: str = "passed", **kw: Any) -> Run:
    """A run of a suite's newest version that has come out, with a result for each of its calls."""
    of = suite_ or suite(tenant=version.tenant)
    asked = kw.pop("suite_version", None) or of.versions.order_by("-number")[0]
    steps = asked.document.steps
    now = clock.now()
    over = {"finished_at": now, "done": len(steps), "said": f"It {state}."}
    row = Run.objects.create(
        tenant=version.tenant,
        suite=of,
        suite_version=asked,
        template=version.template,
        version=version,
        **{
            "total": len(steps),
            "genome_digest": version.genome.digest,
            "endpoint": "https://agent.example/ask",
            "state": state,
        }
        | ({} if state in ("queued", "running") else over | {"started_at": now})
        | kw,
    )
    if state in ("passed", "failed", "errored"):
        for position, (_, turn) in enumerate(steps):
            result(row, state if position == 0 else "passed", position=position, turn=turn)
    return row


def result(of: Run, outcome: str = "passed", *, position: int = 0, turn: int = 1) -> Result:
    """How one call of a run came out."""
    case, _ = of.suite_version.document.steps[position]
    return Result.objects.create(
        tenant=of.tenant,
        run=of,
        case=case.name,
        case_digest=case.digest,
        turn=turn,
        position=position,
        severity=case.severity,
        outcome=outcome,
        problem="timeout" if outcome == "errored" else "",
    )


def evaluated(version: AgentVersion) -> AgentVersion:
    """Nothing of evaluation stands between the version and Approved: every mandatory suite has passed on it."""
    rows = Assignment.objects.filter(template=version.template, until=None)
    for one in list(rows) or [assigned(version.template)]:
        run(version, one.suite)
    return version


def incident(subject: Model | None = None, **kw: Any) -> Incident:
    """An open S2 about an instance, as a rule of ARM would open it."""
    defaults = {"kind": IncidentKind.DRIFT, "severity": Severity.S2, "title": f"Incident {next(_n)}"}
    return open_incident(subject=subject or instance(), actor=None, **(defaults | kw))


def certification_type(slug: str = "", **kw: Any) -> CertificationType:
    slug = slug or f"cert-{next(_n)}"
    return CertificationType.objects.create(tenant=_tenant(kw), slug=slug, **{"name": slug.title()} | kw)


def certification(of: AgentVersion, kind: CertificationType | None = None, **kw: Any) -> Certification:
    """Valid since now, for a year."""
    now = clock.now()
    defaults = {
        "issued_by": None,
        "valid_from": now,
        "valid_until": now + timedelta(days=365),
        "reason": "test",
    } | kw
    defaults["issued_by"] = defaults["issued_by"] or user(member_of=of.tenant)
    return Certification.objects.create(
        tenant=of.tenant,
        type=kind or certification_type(tenant=of.tenant),
        template=of.template,
        version=of,
        genome_digest=of.genome.digest,
        **defaults,
    )


@contextmanager
def platform() -> Iterator[None]:
    """What a platform administrator sees of the security log: lines of no tenant, too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, 'on', true)", [db.PLATFORM])
        yield
        cursor.execute("SELECT set_config(%s, '', true)", [db.PLATFORM])


@contextmanager
def as_the_owner() -> Iterator[None]:
    """INSERT and UPDATE run as a function of the owner would: for tables that the application may only read."""

    def write(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not sql.startswith(("INSERT", "UPDATE")):
            return execute(sql, params, many, context)
        return execute("SELECT tests_write(%s)", [context["cursor"].mogrify(sql, params)], many, context)

    with connection.execute_wrapper(write):
        yield


@as_the_owner()
def job(tenant: Tenant, key: str, reported_by: AgentInstance, **kw: Any) -> Job:
    """A job as an agent named it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT telemetry_job_id(%s, %s)", [tenant.pk, key])
        (id,) = cursor.fetchone()
    return Job.objects.create(id=id, tenant=tenant, key=key, reported_by_id=reported_by.pk, **kw)


@as_the_owner()
def event(of: AgentInstance | None = None, **kw: Any) -> Event:
    """A model call of an instance, just now, that went well; names are given as text."""
    runner = of or instance()
    at = kw.pop("occurred_at", None) or clock.now()
    partitions.ensure([at.date()])
    for name in (
        "model_provider",
        "model_requested",
        "model_used",
        "tool",
        "error",
        "cost_center",
        "outcome",
    ):
        if isinstance(kw.get(name), str):
            kw[name] = code(kw[name], runner.tenant)
    number = next(_n)
    key = int(at.timestamp() * 1000) << 80 | 0x8 << 76 | 0b10 << 62 | number
    defaults = {
        "type": EventType.MODEL_CALL,
        "status": Status.OK,
        "flags": 0,
        "mapper_version": 1,
        "received_at": at,
        "trace_id": UUID(int=number),
        "span_id": number,
    }
    return Event.objects.create(
        event_id=UUID(int=key),
        occurred_at=at,
        tenant=runner.tenant,
        provider=runner.provider,
        environment=runner.environment,
        template=runner.template,
        version=runner.version,
        instance=runner,
        **(defaults | kw),
    )


def code(text: str, of: Tenant) -> Code:
    """The number of a name."""
    return Code.objects.get_or_create(tenant=of, text=text)[0]


@as_the_owner()
def quarantined(environment: Environment, provider: Provider, **kw: Any) -> QuarantinedEvent:
    """A span that named no instance, and its count."""
    defaults = {"reason": "no_instance", "detail": "The span names no instance.", "received_at": clock.now()}
    row = QuarantinedEvent.objects.create(
        tenant=environment.tenant, environment=environment, provider=provider, **(defaults | kw)
    )
    QuarantineCount.objects.create(
        tenant=environment.tenant,
        environment=environment,
        provider=provider,
        reason=row.reason,
        day=clock.today(),
        spans=1,
    )
    return row


@as_the_owner()
def entry(of: AgentInstance | None = None, amount: str = "0.0040", **kw: Any) -> LedgerEntry:
    """A ledger entry of an instance, just now, and its share of the day's sums; names are given as text."""
    runner = of or instance()
    at = kw.pop("occurred_at", None) or clock.now()
    partitions.ensure([at.date()])
    for name in ("currency", "price_ref", "model_provider", "model", "cost_center", "outcome"):
        if isinstance(kw.get(name), str):
            kw[name] = code(kw[name], runner.tenant)
    kw.setdefault("currency", code("USD", runner.tenant))
    tags = {
        "tenant": runner.tenant,
        "environment": runner.environment,
        "template": runner.template,
        "version": runner.version,
        "instance": runner,
        "role": runner.role,
        "basis": kw.pop("basis", Basis.LIST),
        **{name: kw.get(name) for name in ("currency", "model_provider", "model", "cost_center", "outcome")},
    }
    picos = int(Decimal(amount) * PICOS)
    tokens = {"input_tokens": kw.pop("input_tokens", 1000), "output_tokens": kw.pop("output_tokens", 200)}
    row = LedgerEntry.objects.create(
        entry_id=UUID(int=int(at.timestamp() * 1000) << 80 | 0x8 << 76 | 0b10 << 62 | next(_n)),
        occurred_at=at,
        provider=runner.provider,
        amount_picos=picos,
        **(tags | tokens | kw),
    )
    day, _ = SpendRollup.objects.get_or_create(
        day=at.date(),
        attributed=not row.unattributed,
        **tags,
        defaults={"calls": 0, "input_tokens": 0, "cached_tokens": 0, "output_tokens": 0, "amount_picos": 0},
    )
    SpendRollup.objects.filter(pk=day.pk).update(
        calls=F("calls") + 1,
        input_tokens=F("input_tokens") + tokens["input_tokens"],
        output_tokens=F("output_tokens") + tokens["output_tokens"],
        amount_picos=F("amount_picos") + picos,
    )
    return row


def cap(of: AgentInstance | None = None, per_day: str = "5", **kw: Any) -> Cap:
    held = of or instance()
    by = kw.pop("created_by", None) or user(member_of=held.tenant)
    return Cap.objects.create(
        tenant=held.tenant, instance=held, per_day=Decimal(per_day), created_by=by, **kw
    )


def rate(model: str = "gpt-4o", **kw: Any) -> CostModel:
    owner = _tenant(kw)
    by = kw.pop("created_by", None) or user(member_of=owner)
    prices = {"input_mtok": Decimal(2), "output_mtok": Decimal(8), "digest": "sha256:" + "0" * 64}
    return CostModel.objects.create(tenant=owner, model=model, created_by=by, **(prices | kw))


def policy_document(**members: Any) -> dict[str, Any]:
    """Tier 2, every tool, hosts, paths and commands anywhere: what `members` do not say otherwise."""
    return {
        "schema": SCHEMA,
        "tier": 2,
        "tools": [{"match": {"tool": "*"}, "effect": "allow"}],
        "network": [{"host": "*"}],
        "paths": [{"path": ".", "access": "write"}],
        "commands": [{"argv": ["**"]}],
    } | members


def policy_version(**kw: Any) -> PolicyVersion:
    """A draft of a new policy (or of `policy`); `content` is its document."""
    content = kw.pop("content", None) or policy_document()
    number = next(_n)
    owner = kw.pop("policy", None)
    if owner is None:
        slug = f"policy-{number}"
        owner = Policy.objects.create(tenant=_tenant(kw), slug=slug, name=kw.pop("name", slug))
    compiled = compile_envelope(content)
    return PolicyVersion.objects.create(
        tenant=owner.tenant,
        policy=owner,
        content=crypto.canonical(content),
        digest=compiled.digest,
        tier=compiled.tier,
        **{"number": owner.versions.count() + 1} | kw,
    )


def policy(**kw: Any) -> Policy:
    """A policy whose first version is active."""
    return policy_version(**{"state": PolicyState.ACTIVE, "activated_at": clock.now()} | kw).policy


def bound(to: Model, **members: Any) -> Policy:
    """An active policy of these members, bound to a target (tenant, environment, template, instance, …)."""
    owner = to if isinstance(to, Tenant) else to.tenant
    row = policy(tenant=owner, content=policy_document(**members))
    Binding.objects.create(tenant=owner, policy=row, reason="test", **Binding.members_for(to))
    return row


def approval(of: AgentInstance | None = None, **kw: Any) -> ApprovalRequest:
    """A pending request of an agent for one payment."""
    instance_ = of or instance()
    number = next(_n)
    now = clock.now()
    return ApprovalRequest.objects.create(
        tenant=instance_.tenant,
        instance=instance_,
        subject_id=instance_.pk,
        **{
            "kind": ApprovalKind.TOOL_CALL,
            "title": f"{instance_}: payment",
            "subject_kind": "registry.agentinstance",
            "action": {"action": "tool_call", "tool": "payment", "args": {"amount": str(number)}},
            "digest": crypto.digest(crypto.canonical({"payment": number})),
            "risk": "red",
            "reasons": [{"code": "tier_approve", "sentence": "Tier 2 asks.", "rule": ""}],
            "created_at": now,
            "expires_at": now + timedelta(hours=1),
        }
        | kw,
    )


def posture(on: Model, **kw: Any) -> Posture:
    """A pause of a scope, set by a rule of ARM."""
    owner = on if isinstance(on, Tenant) else on.tenant
    defaults = {"mode": "paused", "reason": "test", "reach": {"agents": 1}}
    return Posture.objects.create(tenant=owner, **Posture.members_for(on), **(defaults | kw))


def restriction(on: Model, **kw: Any) -> RestrictionRequest:
    """A request to pause a scope, by somebody who is signed in."""
    owner = on if isinstance(on, Tenant) else on.tenant
    now = clock.now()
    asker = kw.pop("asked_by", None) or user(member_of=owner)
    defaults = {
        "mode": "paused",
        "reason_code": "misbehaves",
        "reason": "test",
        "in_person": True,
        "digest": crypto.digest(str(next(_n)).encode()),
        "asked_at": now,
        "expires_at": now + timedelta(minutes=15),
    }
    return RestrictionRequest.objects.create(
        tenant=owner, asked_by=asker, **RestrictionRequest.members_for(on), **(defaults | kw)
    )


@as_the_owner()
def decision(of: AgentInstance | None = None, **kw: Any) -> Decision:
    """A recorded answer: a red tool was allowed."""
    instance_ = of or instance()
    defaults = {
        "at": clock.now(),
        "version_id": instance_.version_id,
        "key_id": ids.uuid7(),
        "action": 3,
        "tool": "payment",
        "risk": 2,
        "decision": 0,
        "reasons": json.dumps([{"code": "approved", "sentence": "A person approved it.", "rule": ""}]),
        "obligations": "",
        "action_digest": b"a" * 32,
        "policy_digest": b"p" * 32,
        "verdict_digest": b"v" * 32,
        "job": "job-7",
        "outcome": "",
        "run": "",
        "age_ms": 3,
        "request_id": "req-00000001",
    } | kw
    return Decision.objects.create(
        tenant=instance_.tenant, instance=instance_, **{"would": defaults["decision"]} | defaults
    )


def of_a_provider(of: AgentInstance, **kw: Any) -> list[Any]:
    """The registered client of an instance's provider, with one row of each kind that has an address."""
    whose = {"tenant": of.tenant, "provider": of.provider}
    now, serial = clock.now(), next(_n)
    invite = Invite.objects.create(
        **whose,
        digest=crypto.token_digest(crypto.new_token("r")),
        last4="0000",
        invited_by=user(member_of=of.tenant),
        expires_at=now + timedelta(hours=24),
        used_at=now,
    )
    defaults = {
        "name": f"adapter-{serial}",
        "status": "registered",
        "software_id": "tests",
        "software_version": "1",
        "scope": "federation:control",
        "capabilities": ["heartbeat", "inventory.full"],
        "auth_jwk": {},
        "auth_kid": f"auth-{serial}",
        "attest_jwk": {},
        "attest_kid": f"attest-{serial}",
        "approved_at": now,
    }
    client = ProviderClient.objects.create(**whose, invite=invite, **defaults | kw)
    session = AdapterSession.objects.create(
        tenant=of.tenant,
        client=client,
        epoch=1,
        issuer="http://testserver",
        adapter_uid=ids.uuid7(),
        adapter_name="tests",
        adapter_version="1",
    )
    command = Command.objects.create(
        **whose,
        instance=of,
        generation=2,
        document=b"{}",
        sha256="0" * 64,
        from_state="Active",
        to_state="Quarantined",
        restrictive=True,
        reason_code="wanted",
        initiated_by="arm",
        initiating_entity="policy",
        jti=f"set-{serial}",
        ack_by=now + timedelta(seconds=30),
        enforce_by=now + timedelta(seconds=60),
        available_at=now,
    )
    snapshot = Snapshot.objects.create(tenant=of.tenant, session=session)
    said = {"client": client, "instance": of, "command": command, "envelope": b"{}", "ok": True}
    proof = Attestation.objects.create(tenant=of.tenant, digest=f"sha256:{serial}", **said)
    return [invite, client, session, command, snapshot, proof]


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


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


def evaluations(version: AgentVersion) -> list[Any]:
    """One row of every noun of evaluation."""
    assignment = assigned(version.template)
    ran = run(version, assignment.suite)
    allowed = AllowedHost.objects.create(tenant=version.tenant, entry="agents.internal")
    place = endpoint(version.template)
    vouched = certification(version)
    found = [assignment, assignment.suite, ran.suite_version, ran, ran.results.get(), place, allowed]
    return [*found, vouched, vouched.type]


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


def one_of_each(tenant: Tenant) -> dict[str, Any]:
    """One row of every noun that has a page or an endpoint of its own, by TypeID prefix, all in this tenant."""
    everyone = user("owner", member_of=tenant)
    place, at = environment(tenant=tenant), provider(tenant=tenant)
    running = instance(version=approved(template=template(tenant=tenant)), environment=place, provider=at)
    change = changes.record(everyone, "test.thing.made", running, reason="one of each")
    service_key, _ = key(ApiKey.Kind.SERVICE, tenant=tenant, user=everyone)
    rules = policy_version(tenant=tenant)
    rows = [
        running,
        running.version,
        running.template,
        running.version.genome,
        place,
        at,
        change,
        service_key,
        (home := slot(environment=place, provider=at)),
        *releases(home, running.version, everyone),
        role(tenant=tenant),
        role_assignment(version=running.version, environment=place),
        prompt(tenant=tenant),
        used_thing(running.version),
        Successor.objects.create(tenant=tenant, template=running.template, user=everyone, position=1),
        Membership.objects.get(user=everyone),
        team(tenant=tenant),
        grant(everyone, tenant, Right.READ_EVIDENCE),
        view(everyone, tenant=tenant, shared=True),
        incident(running),
        rules.policy,
        rules,
        Binding.objects.create(policy=rules.policy, whole_tenant=True, tenant=tenant, reason="test"),
        ToolRisk.objects.create(tenant=tenant, tool="crm_*", risk="red", note="test"),
        approval(running),
        posture(running),
        restriction(running),
        decision(running),
        event(running),
        quarantined(place, at),
        entry(running),
        cap(running),
        rate(tenant=tenant),
        card(running.version),
        CardKeySource.objects.create(tenant=tenant, url="https://keys.example/jwks.json"),
        TableImport.objects.create(
            tenant=tenant,
            kind="templates",
            file_name="agents.csv",
            total=1,
            created_by=everyone,
            content=b"slug,name\na,A\n",
            digest="sha256:" + "0" * 64,
            state="checked",
            plan="c",
            done=1,
        ),
        bulk(running.template, everyone),
        *integrity(running.version),
        *evaluations(running.version),
        *of_a_provider(running),
    ]
    return {row.prefix: row for row in rows}
