"""What the parts of the demo fleet share: one seed, one span of days, the people, and a progress bar.

Each app's `demo.build(demo)` adds its part through the app's services (under `arm.clock`) and public endpoints.
"""

import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from django.db import transaction

from arm import changes, clock, services
from arm.models import ChangeRecord, Membership, Tenant, User

T = TypeVar("T")
BUILT = "arm.demo.built"

CAST = (
    ("alice", "Alice Author", "author"),
    ("bob", "Bob Builder", "author"),
    ("carol", "Carol Release", "release_manager"),
    ("dan", "Dan Oncall", "fleet_operator"),
    ("erin", "Erin Approver", "approver"),
    ("frank", "Frank Approver", "approver"),
    ("grace", "Grace Grc", "grc_analyst"),
    ("heidi", "Heidi Auditor", "auditor"),
    ("ivan", "Ivan Finops", "finops"),
    ("judy", "Judy Admin", "tenant_admin"),
)
"""Sign-in name, full name, role on the whole tenant."""


@dataclass
class Demo:
    """The demo in the making. `days` end now; `random` is the only source of chance."""

    tenant: Tenant
    admin: User
    seed: int
    days: int
    now: datetime
    scale: float = 1.0
    quiet: bool = False
    people: dict[str, User] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - a believable fleet, not a secret
        self.start = self.now - timedelta(days=self.days)
        self.began = time.monotonic()

    def at(self, moment: datetime) -> AbstractContextManager[None]:
        """Services inside believe it is `moment`."""
        return clock.at(moment)

    def moment(self, first: float = 0.0, last: float = 1.0) -> datetime:
        """A moment in that part of the demo's days (0 the oldest, 1 now)."""
        return self.start + (self.now - self.start) * self.random.uniform(first, last)

    def count(self, full: int) -> int:
        """How many of something at this scale, at least one."""
        return max(1, round(full * self.scale))

    def progress(self, label: str, items: Iterable[T], total: int) -> Iterator[T]:
        """The items, with a bar on the terminal (one line per step where there is no terminal)."""
        bar = sys.stderr.isatty() and not self.quiet
        for number, item in enumerate(items, 1):
            yield item
            if bar and (number % max(1, total // 40) == 0 or number == total):
                filled = round(30 * number / max(1, total))
                sys.stderr.write(f"\r  {label:<28} [{'#' * filled}{'.' * (30 - filled)}] {number}/{total}")
        if bar:
            sys.stderr.write("\n")
        elif not self.quiet:
            sys.stderr.write(f"  {label}: {total} ({time.monotonic() - self.began:.0f} s)\n")


def hire(demo: Demo, password: str = "") -> str:
    """The cast, each with their role on the tenant. Returns the password that all of them sign in with."""
    password = password or secrets.token_urlsafe(9)
    with transaction.atomic(), demo.at(demo.start):
        for name, full_name, role in CAST:
            first, last = full_name.split()
            person = User(username=name, first_name=first, last_name=last, email=f"{name}@example.com")
            person.set_password(password)
            person.save()
            services.add_member(tenant=demo.tenant, user=person, actor=demo.admin, reason="The demo's cast")
            services.bind(
                principal=person, role=role, scope=demo.tenant, actor=demo.admin, reason="The demo's cast"
            )
            demo.people[name] = person
        team: list[User] = [demo.people["alice"], demo.people["bob"]]
        services.create_team(
            tenant=demo.tenant, name="Builders", members=team, actor=demo.admin, reason="The demo's cast"
        )
    return password


def already_there(tenant: Tenant) -> bool:
    """Whether the cast has been hired: the demo is built once."""
    return Membership.objects.filter(tenant=tenant, user__username=CAST[0][0]).exists()


def finish(demo: Demo) -> None:
    """Every part has been built: said last, so that a demo that failed midway is known as one."""
    with transaction.atomic():
        changes.record(demo.admin, BUILT, demo.tenant, reason="The demo")


def finished(tenant: Tenant) -> bool:
    """Whether every part of the demo that is there has been built."""
    return ChangeRecord.objects.filter(tenant=tenant, verb=BUILT).exists()
