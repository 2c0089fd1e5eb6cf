"""What ends in the directory when somebody leaves a tenant, or when their account is closed."""

from collections.abc import Iterable

from arm.models import Membership, User

from .. import queries, services
from ..models import ReleaseException


class OwnersSucceed:
    """`arm.ports.MemberEffect`: what somebody owned passes to the successor when they leave."""

    def ends(self, member: Membership) -> Iterable[str]:
        for template, heir, answered in queries.what_passes(member):
            if heir is not None:
                yield f"Owner of {template}: {heir} succeeds"
            else:
                yield f"Owner of {template}" + ("" if answered else ": nobody answers for it then")

    def left(self, *, member: Membership, actor: User, reason: str) -> None:
        services.pass_on(member=member, actor=actor, reason=reason)

    def closed(self, *, member: Membership, actor: User, reason: str) -> None:
        """Whoever comes back owns what they owned; until then the agent is flagged where nobody else answers for it."""


class ExceptionsEnd:
    """`arm.ports.MemberEffect`: an exception that somebody granted and nobody has used ends with who answers for it."""

    def ends(self, member: Membership) -> Iterable[str]:
        rows = ReleaseException.objects.unused().filter(tenant=member.tenant_id, granted_by=member.user_id)
        for row in rows.select_related(
            "slot__environment", "slot__role", "slot__provider", "version__template"
        ):
            yield f"Exception: {row}"

    def left(self, *, member: Membership, actor: User, reason: str) -> None:
        services.withdraw_all_of(member=member, actor=actor, reason=reason)

    closed = left
