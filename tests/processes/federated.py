"""What the federation's story starts from; run inside an installation, prints one line of JSON."""

import json

from django.utils import timezone

from arm import db, services
from arm.models import ApiKey, Tenant, User
from policy import services as policy
from registry import services as registry
from registry.lifecycle import InstanceState, VersionState
from registry.models import Environment, InstanceStatus, Provider

from .setting import PASSWORD, POLICY, _genome, evaluated

PEOPLE = {
    "alice": "tenant_admin",
    "bob": "tenant_admin",
    "dan": "fleet_operator",
    "erin": "approver",
    "gus": "author",
}
PEOPLE |= {"carol": "release_manager", "grace": "grc_analyst"}


def build() -> None:
    admin = User.objects.get(is_superuser=True)
    with db.tenants(db.all_tenants()):
        (tenant,) = Tenant.objects.all()
    with db.tenants([tenant.pk]):
        people = {}
        for name, role in PEOPLE.items():
            person = people[name] = User(username=name, first_name=name.title())
            person.set_password(PASSWORD)
            person.save()
            services.add_member(tenant=tenant, user=person, actor=admin, reason="the story")
            services.bind(principal=person, role=role, scope=tenant, actor=admin, reason="the story")
        template = registry.register_template(
            tenant=tenant, slug="desk", name="Desk", actor=people["gus"], reason="the story"
        )
        version = registry.create_version(
            template=template, genome=_genome(template.typeid), actor=people["gus"], reason="built"
        )
        evaluated(
            tenant, template, version, author=people["gus"], manager=people["carol"], admin=people["alice"]
        )
        for state, mover in (
            (VersionState.TESTING, "gus"),
            (VersionState.CANDIDATE, "carol"),
            (VersionState.APPROVED, "erin"),
        ):
            version = registry.move_version(version=version, to=state, actor=people[mover], reason="ready")
        rules = policy.create_policy(
            tenant=tenant, slug="base", name="Base", content=POLICY, actor=people["grace"], reason="the story"
        )
        rules = policy.activate_version(version=rules, actor=people["erin"], reason="read")
        policy.bind_policy(policy=rules.policy, target=tenant, actor=people["grace"], reason="everywhere")
        cloud = registry.create_provider(
            tenant=tenant, slug="cloud", name="Cloud", kind=Provider.Kind.FEDERATED, heartbeat_seconds=4,
            actor=people["alice"], reason="the story",
        )  # fmt: skip
        instances = []
        for number in (1, 2):
            one = registry.provision_instance(
                version=version, environment=Environment.objects.get(slug="dev"), provider=cloud,
                name=f"desk-{number}", actor=people["dan"], reason="the story",
            )  # fmt: skip
            InstanceStatus.objects.filter(instance=one).update(telemetry_at=timezone.now())
            registry.move_instance(
                instance=one, to=InstanceState.ACTIVE, actor=people["dan"], reason="the story"
            )
            instances.append(one.typeid)
        key = services.issue_key(
            tenant=tenant,
            kind=ApiKey.Kind.PERSONAL,
            name="dan",
            user=people["dan"],
            actor=None,
            reason="the story",
        )
    print(
        json.dumps(
            {"instances": instances, "version": version.typeid, "provider": cloud.typeid, "token": key.token}
        )
    )
