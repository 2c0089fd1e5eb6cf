"""Adapters at rest: a heartbeat every 20 s and an empty poll every 10 s of each; and a stop on its way to one of them.

What a thousand of them cost is the CPU seconds of the gateway and of PostgreSQL, as the kernel counts them, while they
ask at their rates: a share of one core, and beside it what one heartbeat or poll costs on the average.
"""

import itertools
import json
import os
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q, Sum

from arm import clock, crypto, db, ids, statistics
from arm.models import Tenant, User
from federation.models import AccessToken, AdapterSession, InstanceReport, Invite, ProviderClient
from federation.protocol.documents import fleet_digest, moment
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, InstanceStatus, Provider
from registry.services import move_instance
from tests import make

from .harness import Figure, serving
from .harness.cpu import Meter
from .harness.load import ask

ADAPTERS, HEARTBEAT_SECONDS, POLL_SECONDS = 1000, 20, 10
SHARE = 0.25
INTERVAL = 2.0
BEATS, POLLS = ADAPTERS / HEARTBEAT_SECONDS, ADAPTERS / POLL_SECONDS


@dataclass(frozen=True)
class Adapter:
    """One adapter with its session, and the only instance it runs."""

    instance: AgentInstance
    token: str
    session: str

    def heartbeat(self, seq: int) -> bytes:
        line = (self.instance.typeid, ids.encode("ver", self.instance.version_id), "Active", 1)
        said = {
            "epoch": 1,
            "seq": seq,
            "sent_at": moment(clock.now()),
            "inventory": {"count": 1, "digest": fleet_digest([line])},
            "instances_changed": [],
            "health": {"status": "ok", "message": ""},
        }
        return self._message(f"/federation/v1/sessions/{self.session}/heartbeat", said)

    def poll(self) -> bytes:
        return self._message("/federation/v1/poll", {"returnImmediately": True, "ack": []})

    def headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.token}",
            "ARM-Session": self.session,
            "Content-Type": "application/json",
        }

    def _message(self, path: str, said: dict[str, Any]) -> bytes:
        body = json.dumps(said).encode()
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: 127.0.0.1",
            *(f"{name}: {value}" for name, value in self.headers().items()),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


def run(quick: bool) -> list[Figure]:
    """The share of a core at the rates of a thousand adapters, and the longest way of a stop to a polling one."""
    os.environ.setdefault("ARM_KEY_ENCRYPTION_KEY", "of the bench")
    tenant = make.tenant("bench")
    # Under 30 s: then the server closes connections of the load that had nothing to do.
    count, seconds, warm, stops = (100, 6.0, 2.0, 1) if quick else (ADAPTERS, 25.0, 8.0, 5)
    with db.tenants([tenant.pk]):
        root, adapters = _adapters(tenant, count + stops)
    statistics.collect()  # as every start does, and every ten minutes: tables have come at once
    resting, stopped = adapters[:count], adapters[count:]
    rate = BEATS + POLLS
    # One worker, as many threads as it needs: what is measured is work, not waiting.
    with serving("arm.wsgi_gateway:application", workers=1, threads=8) as url:
        # Every token is met once before it counts: it lives for ten minutes, which are ninety messages.
        ask(url, [one.poll() for one in resting], connections=32, seconds=warm)
        said = list(itertools.islice(_messages(resting), int(seconds * rate) + 1))
        meter = Meter()
        load = ask(url, said, connections=32, seconds=seconds, rate=rate)
        cpu = meter.seconds()
        answered = len(load.latencies)
        if set(load.statuses) != {"200"}:
            raise RuntimeError(f"not everybody was answered: {load.statuses}")
        _all_heard(tenant.pk, answered)
        delivered = max(_delivery(url, one, root) for one in stopped)
    share = (cpu.ours + cpu.postgres) / answered * rate
    return [
        Figure("adapters_cpu", share, "of a core", SHARE),
        Figure("adapters_gateway_cpu", cpu.ours / answered * 1000, "ms a request"),
        Figure("adapters_postgres_cpu", cpu.postgres / answered * 1000, "ms a request"),
        Figure("adapters_delivery", delivered, "s", INTERVAL + 1, delivered / INTERVAL),
    ]


def _messages(adapters: list[Adapter]) -> Iterator[bytes]:
    """For ever: each adapter in turn polls twice and beats once."""
    for seq in itertools.count(1):
        for one in adapters:
            yield one.poll()
            yield one.heartbeat(seq)
            yield one.poll()


def _all_heard(tenant_id: UUID, answered: int) -> None:
    """What was answered was done: the numbers add up, every digest agreed, nobody is asked for an inventory."""
    with db.tenants([tenant_id]):
        rows = AdapterSession.objects.aggregate(
            beats=Sum("seq"), wrong=Count("pk", filter=Q(agrees=False) | Q(full_wanted=True, seq__gt=0))
        )
    if rows["wrong"] or rows["beats"] < answered // 3 - 1:
        raise RuntimeError(f"{answered} messages were answered, and this is what was heard: {rows}")


def _delivery(url: str, one: Adapter, root: User) -> float:
    """Seconds from the click until a polling adapter has the signed event: clicked right after it polled in vain, which
    is the worst moment there is."""
    asked = time.perf_counter()
    if _poll(url, one):
        raise RuntimeError("something waits for an adapter that was told nothing")
    clicked = time.perf_counter()
    with db.tenants([one.instance.tenant_id]):
        move_instance(instance=one.instance, to=InstanceState.QUARANTINED, actor=root, reason="bench")
    while True:
        asked += INTERVAL
        time.sleep(max(0.0, asked - time.perf_counter()))
        if _poll(url, one):
            return time.perf_counter() - clicked
        if time.perf_counter() - clicked > 10 * INTERVAL:
            raise RuntimeError("the stop does not come")


def _poll(url: str, one: Adapter) -> dict[str, str]:
    request = urllib.request.Request(f"{url}/federation/v1/poll", b"{}", one.headers())
    with urllib.request.urlopen(request, timeout=10) as answer:
        sets: dict[str, str] = json.load(answer)["sets"]
    return sets


def _adapters(tenant: Tenant, count: int) -> tuple[User, list[Adapter]]:
    """Made directly, because a bench measures asking, not making: registered, with a session, agreeing with ARM."""
    root = make.everything(make.user("root", member_of=tenant), tenant)
    version, place, now = make.approved(), make.environment("dev"), clock.now()
    owned = {"tenant": tenant}
    providers = Provider.objects.bulk_create(
        Provider(**owned, slug=f"cloud-{n}", name=f"Cloud {n}", kind=Provider.Kind.FEDERATED)
        for n in range(count)
    )
    instances = AgentInstance.objects.bulk_create(
        AgentInstance(
            **owned, version=version, template=version.template, environment=place, provider=at,
            name=f"agent-{n}", state=InstanceState.ACTIVE,
        )
        for n, at in enumerate(providers)
    )  # fmt: skip
    InstanceStatus.objects.bulk_create(InstanceStatus(**owned, instance=one) for one in instances)
    make.bound(tenant)
    invites = Invite.objects.bulk_create(
        Invite(
            **owned, provider=at, digest=os.urandom(32), last4="0000", invited_by=root, expires_at=now, used_at=now
        )
        for at in providers
    )  # fmt: skip
    clients = ProviderClient.objects.bulk_create(
        ProviderClient(
            **owned, provider=invite.provider, invite=invite, status="registered", name=f"adapter-{n}",
            software_id="bench", software_version="1", scope="federation:control", auth_jwk={}, attest_jwk={},
            auth_kid=f"auth-{n}", attest_kid=f"attest-{n}", approved_at=now, epoch=1,
            capabilities=["heartbeat", "inventory.full", "state.quarantine"],
        )
        for n, invite in enumerate(invites)
    )  # fmt: skip
    sessions = AdapterSession.objects.bulk_create(
        AdapterSession(
            **owned, client=one, epoch=1, issuer="http://127.0.0.1", adapter_uid=ids.uuid7(),
            adapter_name="bench", adapter_version="1",
        )
        for one in clients
    )  # fmt: skip
    tokens = [crypto.new_token("a") for _ in clients]
    AccessToken.objects.bulk_create(
        AccessToken(
            **owned, client=one, digest=crypto.token_digest(token), scope=one.scope, expires_at=now + timedelta(hours=1)
        )
        for one, token in zip(clients, tokens, strict=True)
    )  # fmt: skip
    InstanceReport.objects.bulk_create(
        InstanceReport(
            **owned, provider=one.provider, external_id=one.typeid, instance=one, state="Active", generation=1,
            version_id=version.typeid, epoch=1, seq=1,
        )
        for one in instances
    )  # fmt: skip
    held = zip(instances, tokens, sessions, strict=True)
    return root, [Adapter(instance, token, session.typeid) for instance, token, session in held]
