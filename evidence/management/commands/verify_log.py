"""Check a tenant's log from its first leaf on: hashes, roots, signatures, and that every record is in it unchanged."""

from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from arm import db
from arm.models import Tenant
from evidence.models import Log
from evidence.queries import findings


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", help="slug of one tenant; without it, all")

    def handle(self, *, tenant: str | None, **_: Any) -> None:
        wrong = checked = 0
        for tenant_id in db.all_tenants():
            with db.tenants([tenant_id]):
                one = Tenant.objects.get(pk=tenant_id)
                if tenant is not None and one.slug != tenant:
                    continue
                checked += 1
                found = list(findings(one))
                for finding in found:
                    self.stdout.write(f"{one.slug}: {finding.where}: {finding.what}")
                log = Log.objects.filter(tenant=one).first()
                self.stdout.write(f"{one.slug}: {log.size if log else 0} leaves, {len(found)} findings")
                wrong += len(found)
        if not checked:
            raise CommandError(f"There is no tenant “{tenant}”.")
        if wrong:
            raise CommandError(f"{wrong} findings.")
