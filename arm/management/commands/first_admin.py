"""The first tenant and its first administrator, with a one-time password printed once. Does nothing the second time."""

import os
import secrets
from typing import Any

from django.core.management import BaseCommand
from django.db import transaction

from arm import services
from arm.models import User


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--username", default="admin")
        parser.add_argument("--tenant", default="main", help="slug of the first tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        if User.objects.filter(is_superuser=True).exists():
            return
        chosen = os.environ.get("ARM_ADMIN_PASSWORD", "")
        password = chosen or secrets.token_urlsafe(12)
        with transaction.atomic():
            user = User.objects.create_superuser(options["username"], password=password)
            if not chosen:
                User.objects.filter(pk=user.pk).update(must_change_password=True)
            services.create_tenant(
                slug=options["tenant"],
                name=options["tenant"].title(),
                admin=user,
                actor=user,
                reason="The first tenant and its administrator.",
            )
        how = "the password from ARM_ADMIN_PASSWORD" if chosen else f"the one-time password {password}"
        self.stdout.write(f"first administrator: sign in as {options['username']} with {how}")
