"""The scheduler process: puts due work into the queue, and asks the worker to show that it is alive."""

import logging
import signal
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand
from django.db import DatabaseError, close_old_connections, transaction
from django_q.models import OrmQ
from django_q.tasks import async_task

from arm import services

log = logging.getLogger("arm.scheduler")
BEAT_SECONDS = 5
BACKLOG = 200


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        due = {name: 0.0 for name, _, _ in settings.SCHEDULES}
        while not stop.is_set():
            try:
                close_old_connections()
                tick(due)
            except DatabaseError:
                log.exception("the database does not answer; trying again")
            stop.wait(BEAT_SECONDS)


def tick(due: dict[str, float]) -> list[str]:
    """One round: what was due is queued (and its next time set in the database, so two schedulers do not double
    it). Returns the names queued."""
    queued = []
    services.beat(name="scheduler")
    if (
        OrmQ.objects.filter(key=settings.Q_CLUSTER["name"]).count() < BACKLOG
    ):  # a full queue needs no more beats; what runs there is beat enough
        async_task("arm.tasks.beat_worker", q_options={"task_name": "beat", "save": False})
    for name, path, minutes in settings.SCHEDULES:
        if time.monotonic() < due[name]:
            continue
        due[name] = time.monotonic() + 5
        with transaction.atomic():
            if services.claim_schedule(name=name, minutes=minutes):
                async_task(path, q_options={"task_name": name[:100]})
                queued.append(name)
    return queued
