"""One row of every noun."""

from typing import Any

from arm import changes
from arm.models import ApiKey, Membership, Tenant
from arm.rights import Right
from policy.models import ApprovalRoute, Binding, ToolRisk
from registry.models import CardKeySource, Successor, TableImport

from .core import grant, key, team, user, view
from .directory import (
    approved,
    bulk,
    card,
    environment,
    instance,
    integrity,
    prompt,
    provider,
    releases,
    role,
    role_assignment,
    slot,
    template,
    used_thing,
)
from .happenings import event, incident, quarantined
from .money import cap, entry, rate
from .providers import of_a_provider
from .quality import evaluations
from .rules import approval, decision, policy_version, posture, restriction


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
        ApprovalRoute.objects.create(
            tenant=tenant, environment=place, role="approver", set_by=everyone, reason="test"
        ),
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
