"""What a tenant asks of its whole directory: which genome profiles and which evidence it requires."""

from collections.abc import Collection, Mapping
from typing import Any

from django.db import transaction

from arm import changes
from arm.errors import Invalid, Problem
from arm.models import Tenant, User
from arm.permissions import require
from arm.rights import Right, Risk

from ..genome import PROFILES
from ..models import DirectoryRules
from ..staffing import MOST_APPROVALS
from .asking import require_reason
from .forced import deprecate_from
from .providers import allow_providers


@transaction.atomic
def require_profiles(
    *,
    tenant: Tenant,
    profiles: Collection[str],
    actor: User,
    reason: str,
    prompts_kept: bool | None = None,
) -> DirectoryRules:
    """From now on no version of this tenant is tested, proposed or approved without these genome profiles, and with
    `prompts_kept` no genome is stored that names a prompt which is not stored here (None: as before).

    Exactly these: what is not named is no longer required. Versions keep the state they are in. Invalid names every
    profile that genomes do not have.
    """
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    problems = [
        Problem(pointer=f"/profiles/{place}", code="unknown", message=f"Genomes have no profile “{name}”.")
        for place, name in enumerate(profiles)
        if name not in PROFILES
    ]
    if problems:
        raise Invalid("The required profiles are not changed.", problems)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    rules, _ = DirectoryRules.objects.get_or_create(tenant=tenant)
    wanted = [name for name in PROFILES if name in profiles]
    kept = rules.prompts_kept if prompts_kept is None else prompts_kept
    if (wanted, kept) == (rules.required_profiles, rules.prompts_kept):
        return rules
    before: dict[str, Any] = {"profiles": rules.required_profiles}
    after: dict[str, Any] = {"profiles": wanted}
    if kept != rules.prompts_kept:
        before["prompts_kept"], after["prompts_kept"] = rules.prompts_kept, kept
    rules.required_profiles, rules.prompts_kept = wanted, kept
    rules.save(update_fields=["required_profiles", "prompts_kept"])
    changes.record(actor, "registry.profiles.required", rules, before=before, after=after, reason=reason)
    return rules


@transaction.atomic
def require_evidence(*, tenant: Tenant, required: bool, actor: User, reason: str) -> DirectoryRules:
    """Whether roles in production and of high risk take versions with a verified Agent Card only, from now on."""
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    rules, _ = DirectoryRules.objects.get_or_create(tenant=tenant)
    if rules.verified_evidence == required:
        return rules
    rules.verified_evidence = required
    rules.save(update_fields=["verified_evidence"])
    before, after = {"verified_evidence": not required}, {"verified_evidence": required}
    changes.record(actor, "registry.evidence.required", rules, before=before, after=after, reason=reason)
    return rules


@transaction.atomic
def require_approvals(
    *, tenant: Tenant, by_risk: Mapping[str, int], actor: User, reason: str
) -> DirectoryRules:
    """How many people must approve a version from now on, by the risk class of its agent and of the roles that it does.

    Exactly these: a class that is not named takes one. Invalid names every class or number that there is not.
    """
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    problems = []
    for risk, number in by_risk.items():
        if risk not in Risk.values:
            said = f"There is no risk class “{risk[:40]}”; they are {', '.join(Risk.values)}."
            problems.append(Problem(pointer=f"/approvals/{risk}", code="unknown", message=said))
        elif not 1 <= number <= MOST_APPROVALS:
            said = f"Between 1 and {MOST_APPROVALS} people."
            problems.append(Problem(pointer=f"/approvals/{risk}", code="range", message=said))
    if problems:
        raise Invalid("The rule of approvals is not changed.", problems)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    rules, _ = DirectoryRules.objects.get_or_create(tenant=tenant)
    wanted = {risk.value: by_risk[risk] for risk in Risk if by_risk.get(risk, 1) > 1}
    if wanted == rules.approvals:
        return rules
    before, after = {"approvals": rules.approvals}, {"approvals": wanted}
    rules.approvals = wanted
    rules.save(update_fields=["approvals"])
    changes.record(actor, "registry.approvals.required", rules, before=before, after=after, reason=reason)
    return rules


@transaction.atomic
def set_rules(
    *,
    tenant: Tenant,
    actor: User,
    reason: str,
    profiles: Collection[str] | None = None,
    prompts_kept: bool | None = None,
    verified_evidence: bool | None = None,
    deprecates_from: str | None = None,
    providers: Collection[str] | None = None,
    approvals: Mapping[str, int] | None = None,
) -> DirectoryRules:
    """Several of the rules together or none of them; None: as before. As `require_profiles`, `require_evidence`,
    `deprecate_from`, `allow_providers` and `require_approvals`."""
    require(actor, Right.MANAGE_DIRECTORY, tenant)
    require_reason(reason)
    Tenant.objects.select_for_update().get(pk=tenant.pk)
    if profiles is not None or prompts_kept is not None:
        wanted = DirectoryRules.objects.profiles_of(tenant.pk) if profiles is None else profiles
        require_profiles(
            tenant=tenant, profiles=wanted, prompts_kept=prompts_kept, actor=actor, reason=reason
        )
    if verified_evidence is not None:
        require_evidence(tenant=tenant, required=verified_evidence, actor=actor, reason=reason)
    if deprecates_from is not None:
        deprecate_from(tenant=tenant, severity=deprecates_from, actor=actor, reason=reason)
    if providers is not None:
        allow_providers(tenant=tenant, providers=providers, actor=actor, reason=reason)
    if approvals is not None:
        require_approvals(tenant=tenant, by_risk=approvals, actor=actor, reason=reason)
    return DirectoryRules.objects.filter(tenant=tenant).first() or DirectoryRules(tenant=tenant)
