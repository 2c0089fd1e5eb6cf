"""Where agents answer, and which hosts that are not public a tenant's runs may call."""

from django.db import transaction

from arm import changes, clock
from arm.errors import Conflict
from arm.models import Tenant, User
from arm.outbound import Failed, read_allowed, read_url
from arm.permissions import require
from arm.rights import Right
from registry.models import AgentTemplate, AgentVersion
from registry.services.asking import Duplicate, refuse, require_reason, require_same_tenant

from ..models import AllowedHost, Endpoint


@transaction.atomic
def set_endpoint(
    *,
    template: AgentTemplate,
    url: str,
    actor: User,
    reason: str,
    version: AgentVersion | None = None,
) -> Endpoint:
    """From now on runs of this agent (or of this version alone) call `url`; the endpoint in force ends."""
    require(actor, Right.RUN_EVALUATION, template)
    require_reason(reason)
    require_same_tenant(template=template, version=version)
    if version is not None and version.template_id != template.pk:
        refuse("/version", "template", f"{version} is not a version of {template}.")
    url = url.strip()
    if len(url) > 500:
        refuse("/url", "max_length", "A URL has at most 500 characters here.")
    try:
        read_url(url)
    except Failed as problem:
        refuse("/url", "url", problem.message)
    AgentTemplate.objects.select_for_update().get(pk=template.pk)  # one endpoint at a time
    held = Endpoint.objects.filter(template=template, version=version, until=None).first()
    if held is not None and held.url == url:
        raise Duplicate("This endpoint is in force already.", held)
    now = clock.now()
    if held is not None:
        Endpoint.objects.filter(pk=held.pk).update(until=now)
    made = Endpoint.objects.create(
        tenant_id=template.tenant_id, template=template, version=version, url=url, since=now, created_by=actor
    )
    changes.record(
        actor,
        "evaluation.endpoint.set",
        made,
        before={"url": held.url} if held else {},
        after={"url": url, "version": version.typeid if version else ""},
        reason=reason,
        links=[template.typeid],
    )
    return made


@transaction.atomic
def end_endpoint(*, endpoint: Endpoint, actor: User, reason: str) -> Endpoint:
    """Nothing is called there any more; runs that have begun go on to their end."""
    require(actor, Right.RUN_EVALUATION, endpoint)
    require_reason(reason)
    endpoint = Endpoint.objects.select_for_update(of=("self",)).get(pk=endpoint.pk)
    if endpoint.until is not None:
        raise Conflict("This endpoint has already ended.")
    endpoint.until = clock.now()
    endpoint.save(update_fields=["until"])
    before = {"url": endpoint.url}
    changes.record(actor, "evaluation.endpoint.ended", endpoint, before=before, reason=reason)
    return endpoint


@transaction.atomic
def allow_host(*, tenant: Tenant, entry: str, actor: User, reason: str) -> AllowedHost:
    """Let this tenant's runs call a host or a network that is not public."""
    require(actor, Right.MANAGE_TENANT, tenant)
    require_reason(reason)
    text = entry.strip().lower()
    if not text or len(text) > 253 or any(letter.isspace() for letter in text):
        refuse("/entry", "host", "Name one host, or one network like 10.20.0.0/16.")
    try:
        read = read_allowed([text])
    except ValueError as problem:
        refuse("/entry", "host", str(problem))
    text = (
        next(iter(read.hosts))
        if read.hosts
        else str(read.networks[0]).removesuffix("/32").removesuffix("/128")
    )
    Tenant.objects.select_for_update().get(pk=tenant.pk)  # one entry at a time
    if held := AllowedHost.objects.filter(tenant=tenant, entry=text, until=None).first():
        raise Duplicate(f"{text} is allowed already.", held)
    made = AllowedHost.objects.create(tenant=tenant, entry=text, since=clock.now(), created_by=actor)
    changes.record(actor, "evaluation.host.allowed", made, after={"entry": text}, reason=reason)
    return made


@transaction.atomic
def end_allowed_host(*, allowed: AllowedHost, actor: User, reason: str) -> AllowedHost:
    """From the next call on it is refused again."""
    require(actor, Right.MANAGE_TENANT, allowed)
    require_reason(reason)
    allowed = AllowedHost.objects.select_for_update().get(pk=allowed.pk)
    if allowed.until is not None:
        raise Conflict("This entry has already ended.")
    allowed.until = clock.now()
    allowed.save(update_fields=["until"])
    before = {"entry": allowed.entry}
    changes.record(actor, "evaluation.host.disallowed", allowed, before=before, reason=reason)
    return allowed
