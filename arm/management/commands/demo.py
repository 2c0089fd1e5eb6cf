"""Build the demo fleet: people, agents, policies, events, approvals, incidents over the last thirty days. Once."""

import os
import time
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser
from django.utils.module_loading import import_string

from arm import clock, db, statistics
from arm.demo import Demo, already_there, finish, finished, hire
from arm.models import Tenant, User


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same fleet")
        parser.add_argument("--days", type=int, default=30)
        parser.add_argument("--scale", type=float, default=1.0, help="0.05 for a small fleet in seconds")
        parser.add_argument("--tenant", default="main", help="slug of the tenant to build in")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.CLOCK_MAY_BE_SET:
            raise CommandError("The demo sets the clock; it is refused while production checks are on.")
        admin = User.objects.filter(is_superuser=True).order_by("pk").first()
        if admin is None:
            raise CommandError("There is no administrator yet: run `manage.py first_admin` first.")
        with db.tenants(db.all_tenants()):
            tenant = Tenant.objects.filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(f"There is no tenant “{options['tenant']}”.")
        began = time.monotonic()
        with db.tenants([tenant.pk]):
            if already_there(tenant):
                self.stderr.write(
                    "the demo fleet is already there"
                    if finished(tenant)
                    else "the demo fleet was begun and not finished: parts of it are missing; begin anew in an empty "
                    "installation (--data names another directory)"
                )
                return
            demo = Demo(
                tenant=tenant,
                admin=admin,
                seed=options["seed"],
                days=options["days"],
                now=clock.now().replace(microsecond=0),
                scale=options["scale"],
                quiet=options["verbosity"] == 0,
            )
            password = hire(demo, os.environ.get("ARM_DEMO_PASSWORD", ""))
        for path in settings.DEMO_GOVERNANCE:
            self._inside(demo, path)
        for path in settings.DEMO_ACTIVITY:  # endpoints open transactions of their own
            import_string(path)(demo)
        for path in settings.DEMO_AFTERMATH:
            self._inside(demo, path)
        for path in settings.DEMO_CONNECTIONS:
            import_string(path)(demo)
        with db.tenants([tenant.pk]):
            finish(demo)
        statistics.collect()  # thirty days have come at once
        self.stderr.write(f"demo fleet built in {time.monotonic() - began:.0f} s")
        self.stdout.write(f"demo people: {', '.join(demo.people)} sign in with the password {password}")

    def _inside(self, demo: Demo, path: str) -> None:
        with db.tenants([demo.tenant.pk]):
            import_string(path)(demo)
