"""What the story starts from: people, an approved agent, its policy and its keys, made by the services themselves.

Run inside an installation by `manage.py shell -c`; prints one line of JSON.
"""

import json
from typing import Any

from django.utils import timezone

from arm import db, services
from arm.models import ApiKey, Membership, Tenant, User
from evaluation import services as evaluation
from evaluation.tasks import work_off
from policy import services as policy
from registry import services as registry
from registry.demo.taking_over import take_over
from registry.lifecycle import InstanceState, VersionState
from registry.models import AgentInstance, AgentTemplate, AgentVersion, Environment, InstanceStatus, Provider
from tests.hostile import hostile
from tests.make import suite_document

PASSWORD = "a long enough password for the story"
PEOPLE = {
    "alice": "author",
    "bob": "tenant_admin",
    "carol": "release_manager",
    "dan": "fleet_operator",
    "erin": "approver",
    "grace": "grc_analyst",
    "judy": "tenant_admin",
    "ute": "auditor",
}
DIGEST = "sha256:" + "a" * 64
POLICY = {
    "schema": "arm.policy/v1",
    "tier": 2,
    "tools": [{"match": {"tool": "*"}, "effect": "allow"}],
    "network": [{"host": "*"}],
    "approvals": [{"match": {"risk": "red"}, "ttl_s": 3600}],
}


def build() -> None:
    admin = User.objects.get(is_superuser=True)
    with db.tenants(db.all_tenants()):
        (tenant,) = Tenant.objects.all()
    with db.tenants([tenant.pk]):
        facts = _ours(tenant, admin)
    facts |= _theirs(admin)
    print(json.dumps(facts))


def _ours(tenant: Tenant, admin: User) -> dict[str, Any]:
    people = {}
    for name, role in PEOPLE.items():
        person = people[name] = User(username=name, first_name=name.title())
        person.set_password(PASSWORD)
        person.save()
        services.add_member(tenant=tenant, user=person, actor=admin, reason="the story")
        services.bind(principal=person, role=role, scope=tenant, actor=admin, reason="the story")
    template = registry.register_template(
        tenant=tenant,
        slug="refund-desk",
        name="Refund desk",
        description="Pays customers back.",
        intended_use="Refunds of up to 200 EUR.",
        out_of_scope="Anything else.",
        actor=people["alice"],
        reason="the story",
    )
    version = registry.create_version(
        template=template, genome=genome(template.typeid), actor=people["alice"], reason="built"
    )
    evaluated(
        tenant, template, version, author=people["alice"], manager=people["carol"], admin=people["judy"]
    )
    for state, mover in (
        (VersionState.TESTING, "alice"),
        (VersionState.CANDIDATE, "carol"),
        (VersionState.APPROVED, "erin"),
    ):
        version = registry.move_version(version=version, to=state, actor=people[mover], reason="ready")
    rules = policy.create_policy(
        tenant=tenant,
        slug="baseline",
        name="Baseline",
        content=POLICY,
        actor=people["grace"],
        reason="the story",
    )
    rules = policy.activate_version(version=rules, actor=people["erin"], reason="read")
    policy.bind_policy(policy=rules.policy, target=tenant, actor=people["grace"], reason="everywhere")
    prod, local = Environment.objects.get(slug="prod"), Provider.objects.get(slug="local")
    instance = take_over(version, prod, local, name="refund-desk-1", actor=people["dan"])
    cloud, elsewhere = _federated(tenant, version, people)
    personal = {
        name: services.issue_key(
            tenant=tenant,
            kind=ApiKey.Kind.PERSONAL,
            name=name,
            user=people[name],
            actor=None,
            reason="the story",
        ).token
        for name in people
    }
    return {
        "version": version.typeid,
        "instance": instance.typeid,
        "template": template.typeid,
        "provider": cloud.typeid,
        "elsewhere": [one.typeid for one in elsewhere],
        "tokens": personal,
        "ingest": registry.issue_ingest_key(
            environment=prod, provider=local, name="collector", actor=None, reason="the story"
        ).token,
        "workload": registry.issue_workload_token(
            instance=instance, name="agent", actor=None, reason="the story"
        ).token,
    }


def _federated(
    tenant: Tenant, version: AgentVersion, people: dict[str, User]
) -> tuple[Provider, list[AgentInstance]]:
    """A provider that nobody speaks for yet, and two instances that run there."""
    cloud = registry.create_provider(
        tenant=tenant, slug="cloud", name="Cloud", kind=Provider.Kind.FEDERATED, heartbeat_seconds=4,
        actor=people["judy"], reason="the story",
    )  # fmt: skip
    instances = []
    for number in (1, 2):
        one = registry.provision_instance(
            version=version, environment=Environment.objects.get(slug="dev"), provider=cloud,
            name=f"desk-{number}", actor=people["dan"], reason="the story",
        )  # fmt: skip
        InstanceStatus.objects.filter(instance=one).update(telemetry_at=timezone.now())
        registry.move_instance(instance=one, to=InstanceState.ACTIVE, actor=people["dan"], reason="the story")
        instances.append(one)
    return cloud, instances


def evaluated(
    tenant: Tenant,
    template: AgentTemplate,
    version: AgentVersion,
    *,
    author: User,
    manager: User,
    admin: User,
) -> None:
    """A suite of the agent that its version passes, at an endpoint that is there for the moment."""
    suite = evaluation.create_suite(
        tenant=tenant, slug="manners", name="Manners", document=suite_document(), actor=manager, reason="the story"
    ).suite  # fmt: skip
    evaluation.assign_suite(suite=suite, template=template, actor=manager, reason="the story")
    evaluation.allow_host(tenant=tenant, entry="127.0.0.0/8", actor=admin, reason="the story")
    with hostile() as agent:
        agent.answer = lambda asked: {"output": "hello"}
        evaluation.set_endpoint(template=template, url=f"{agent.url}/good", actor=author, reason="the story")
        run = evaluation.start_run(version=version, suite=suite, actor=author, reason="the story")
        work_off(tenant_id=tenant.pk, run_id=str(run.pk))


def _theirs(admin: User) -> dict[str, Any]:
    other = Tenant(slug="globex", name="Globex")
    with db.tenants([other.pk]):
        other.save(force_insert=True)
        registry.ensure_tenant_defaults(tenant=other, actor=admin)
        mallory = User(username="mallory")
        mallory.set_password(PASSWORD)
        mallory.save()
        Membership.objects.create(tenant=other, user=mallory)
        services.bind(principal=mallory, role="tenant_admin", scope=other, actor=admin, reason="the story")
        key = services.issue_key(
            tenant=other, kind=ApiKey.Kind.PERSONAL, name="m", user=mallory, actor=None, reason="the story"
        )
        registry.register_template(
            tenant=other,
            slug="secret-plan",
            name="Secret plan",
            owners=[mallory],
            actor=admin,
            reason="the story",
        )
    return {"mallory": key.token}


def genome(template: str) -> dict[str, Any]:
    return {
        "schema": "arm.genome/v1",
        "template": template,
        "models": [{"role": "primary", "provider": "openai", "name": "gpt-4o", "revision": "2024-08-06"}],
        "prompts": [{"role": "system", "media_type": "text/plain", "digest": DIGEST, "size": 12}],
        "tools": [
            {
                "name": name, "kind": "function", "schema_digest": DIGEST, "description_digest": DIGEST,
                "risk": risk, "side_effect": risk == "RED", "scopes": [],
            }
            for name, risk in (("search", "GREEN"), ("send_email", "RED"))
        ],
        "skills": [
            {"id": "refund", "name": "Refund", "description": "Pays a customer back.", "tags": ["payments"]},
        ],
        "provenance": {"source_repo": "https://git.example/agents", "commit": "0" * 40, "builder": "ci"},
    }  # fmt: skip
