"""Print a fresh token: an ingest key for a place, a workload token for an instance, or a service token for an account.

The token stands alone on standard output, once; only its SHA-256 is kept.
"""

from typing import Any, TypeVar
from uuid import UUID

from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser
from django.db.models import QuerySet

from arm import db, ids
from arm import services as core
from arm.errors import DomainError
from arm.models import ApiKey, Tenant, TenantRow, User
from registry import services
from registry.models import AgentInstance, Environment, Provider

REASON = "Issued on the command line."
Row = TypeVar("Row", bound=TenantRow)


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", choices=["ingest", "workload", "service"])
        parser.add_argument("--tenant", help="slug of the tenant; default: the only one")
        parser.add_argument("--environment", help="slug, for an ingest key")
        parser.add_argument("--provider", default="local", help="slug, for an ingest key")
        parser.add_argument("--instance", help="id (ins_…) or name, for a workload token")
        parser.add_argument("--user", help="user name of the account, for a service token")
        parser.add_argument("--name", default="", help="what the key is called in lists")
        parser.add_argument("--days", type=int, default=365)

    def handle(self, *args: Any, **options: Any) -> None:
        with db.tenants([tenant_id_of(options["tenant"])]):
            tenant = Tenant.objects.get()
            try:
                issued = getattr(self, f"_{options['kind']}")(tenant, options)
            except DomainError as refusal:
                raise CommandError(refusal.message) from refusal
        self.stdout.write(issued.token)

    def _ingest(self, tenant: Tenant, options: dict[str, Any]) -> core.Issued:
        if not options["environment"]:
            raise CommandError("An ingest key needs --environment (for example --environment prod).")
        environment = _one(Environment.objects.filter(slug=options["environment"]), "environment")
        provider = _one(Provider.objects.filter(slug=options["provider"]), "provider")
        name = options["name"] or f"{provider.slug} in {environment.slug}"
        return services.issue_ingest_key(
            environment=environment,
            provider=provider,
            name=name,
            actor=None,
            reason=REASON,
            days=options["days"],
        )

    def _workload(self, tenant: Tenant, options: dict[str, Any]) -> core.Issued:
        asked = options["instance"] or ""
        rows = AgentInstance.objects.filter(name=asked)
        if asked.startswith("ins_"):
            rows = AgentInstance.objects.filter(pk=_decoded(asked))
        instance = _one(rows, "instance")
        name = options["name"] or instance.name
        return services.issue_workload_token(
            instance=instance, name=name[:120], actor=None, reason=REASON, days=options["days"]
        )

    def _service(self, tenant: Tenant, options: dict[str, Any]) -> core.Issued:
        user = User.objects.filter(username=options["user"] or "").first()
        if user is None:
            raise CommandError("A service token needs --user, the name of the account it acts as.")
        return core.issue_key(
            tenant=tenant,
            kind=ApiKey.Kind.SERVICE,
            name=options["name"] or user.username,
            actor=None,
            reason=REASON,
            user=user,
            days=options["days"],
        )


def tenant_id_of(slug: str | None) -> UUID:
    """The tenant of this slug, or the only one there is. CommandError names those there are."""
    everyone = db.all_tenants()
    with db.tenants(everyone):
        rows = Tenant.objects.filter(slug=slug) if slug else Tenant.objects.all()
        found = list(rows.values_list("pk", "slug"))
    if len(found) == 1:
        return found[0][0]
    if slug or not found:
        raise CommandError(
            f"There is no tenant “{slug}”."
            if slug
            else "There is no tenant yet; run `manage.py first_admin`."
        )
    raise CommandError(f"Name one with --tenant: {', '.join(sorted(name for _, name in found))}.")


def _one(rows: QuerySet[Row], noun: str) -> Row:
    found = list(rows[:2])
    if len(found) == 1:
        return found[0]
    raise CommandError(
        f"There is no such {noun}." if not found else f"Several {noun}s are called so; give the id."
    )


def _decoded(text: str) -> UUID:
    try:
        return ids.decode("ins", text)
    except ValueError as problem:
        raise CommandError(str(problem)) from problem
