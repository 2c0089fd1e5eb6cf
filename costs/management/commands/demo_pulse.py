"""Keep the demo's agents reporting until stopped: heartbeats and a little work, through the public endpoints."""

import http.client
import logging
import signal
import threading
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser
from django.db import DatabaseError, close_old_connections

from arm import db
from arm.demo import already_there
from arm.models import Tenant
from costs.demo import EVERY, Pulse

log = logging.getLogger("arm.demo")


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--web", default="http://127.0.0.1:8000", help="takes the heartbeats")
        parser.add_argument("--gateway", default="http://127.0.0.1:8001", help="takes the spans")
        parser.add_argument("--tenant", default="main", help="slug of the demo's tenant")

    def handle(self, *args: Any, web: str, gateway: str, tenant: str, **options: Any) -> None:
        if not settings.CLOCK_MAY_BE_SET:
            raise CommandError("The demo's pretended agents are refused while production checks are on.")
        with db.tenants(db.all_tenants()):
            found = Tenant.objects.filter(slug=tenant).first()
            if found is None or not already_there(found):
                raise CommandError("There is no demo to keep alive: run `manage.py demo` first.")
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        pulse = Pulse(tenant_id=found.pk, post=_Door(web=web, gateway=gateway).post)
        pulse.start()
        log.info("DEMO: pretended agents keep reporting; a few stay silent on purpose")
        try:
            while not stop.is_set():
                close_old_connections()
                try:
                    told = pulse.round(stopped=stop.is_set)
                except (DatabaseError, OSError, http.client.HTTPException) as problem:
                    log.warning("DEMO: nobody answers, trying again: %s", problem)
                else:
                    if told.refused:
                        log.warning("DEMO: %s of the reports were refused", told.refused)
                stop.wait(EVERY.total_seconds())
        finally:
            pulse.stop()


class _Door:
    """The way to the two public addresses."""

    def __init__(self, *, web: str, gateway: str) -> None:
        self.web, self.gateway = web, gateway

    def post(self, path: str, token: str, body: bytes, media: str) -> int:
        """The status of the answer."""
        url = urlsplit(self.gateway if path.startswith("/otlp/") else self.web)
        connection = http.client.HTTPConnection(url.netloc, timeout=5)
        try:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": media}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()
