"""The demo's agents keep reporting while somebody looks: heartbeats and a little work, through the public endpoints."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from arm import clock, db
from arm import services as core
from arm.models import ApiKey, Membership, RoleBinding, Tenant, User
from policy.queries.standing import load_agents, load_rules
from registry.lifecycle import InstanceState
from registry.models import AgentInstance, Environment, Provider
from registry.services import issue_ingest_key
from telemetry.lifecycle import IncidentKind
from telemetry.models import Incident

from .sending import job, models_of, runner

NAME = "demo keep-alive"
"""What its keys are called; whatever key of this name is left over is revoked at the next start."""
ACCOUNT = "demo-runtime"
EVERY = timedelta(seconds=5)
JOBS = 3  # a round
BEATS_AT_MOST = 120  # a round: the first ones would otherwise all fall at once
SILENT_ONE_IN = 20
FLEET_KNOWN_FOR = timedelta(seconds=30)
REPORTS = frozenset(InstanceState) - {InstanceState.PROVISIONING, InstanceState.RETIRED}
REASON = "The demo's agents keep reporting"

Post = Callable[[str, str, bytes, str], int]
"""Path, bearer token, body, media type → the status of the answer."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round sent, and what was refused."""

    beats: int
    spans: int
    refused: int


class Pulse:
    """One installation's keep-alive. `start` issues its keys, `stop` revokes them; it keeps nothing else."""

    def __init__(self, *, tenant_id: UUID, post: Post, seed: int = 7) -> None:
        self.tenant_id, self.post = tenant_id, post
        self.random = Random(seed)  # noqa: S311 - a believable fleet, not a secret
        self.fleet: list[AgentInstance] = []
        self.models: dict[UUID, str] = {}
        self.known_since: datetime | None = None
        self.defiant: dict[UUID, tuple[str, int | None]] = {}
        self.due: dict[UUID, datetime] = {}
        self.keys: dict[tuple[UUID, UUID], str] = {}
        self.token = ""

    def start(self) -> None:
        """Issue the keys: one for each provider in each environment, one for the account that reports heartbeats."""
        self.stop()
        with db.tenants([self.tenant_id]):
            tenant = Tenant.objects.get(pk=self.tenant_id)
            for place in Environment.objects.all():
                for provider in Provider.objects.all():
                    issued = issue_ingest_key(
                        environment=place, provider=provider, name=NAME, actor=None, reason=REASON, days=1
                    )
                    self.keys[place.pk, provider.pk] = issued.token
            self.token = core.issue_key(
                tenant=tenant,
                kind=ApiKey.Kind.SERVICE,
                name=NAME,
                actor=None,
                reason=REASON,
                user=_account(tenant),
                days=1,
            ).token

    def stop(self) -> None:
        """Revoke every key of this name: ours, and those of one that was killed before it could."""
        with db.tenants([self.tenant_id]):
            for key in ApiKey.objects.filter(tenant=self.tenant_id, name=NAME, revoked_at=None):
                core.revoke_key(key=key, actor=None, reason="The demo's agents have stopped reporting")
        self.keys.clear()
        self.token = ""

    def round(self, stopped: Callable[[], bool] = lambda: False) -> Round:
        """Heartbeats that are due, and a few jobs of agents that may work. To be called every EVERY; ends early, within
        one request, when it is `stopped`."""
        now = clock.now()
        if self.known_since is None or now - self.known_since > FLEET_KNOWN_FOR:
            self._look(now)
        ours = [
            one for one in self.fleet if one.provider.kind == Provider.Kind.LOCAL
        ]  # others' adapters tell
        beats = [one for one in ours if self.due.get(one.pk, now) <= now][:BEATS_AT_MOST]
        sent = spans = refused = 0
        for one in beats:
            if stopped():
                return Round(sent, spans, refused)
            refused += self._beat(one, now) != 200
            sent += 1
        spans, unread = self._work(now)
        return Round(sent, spans, refused + unread)

    def _look(self, now: datetime) -> None:
        """The fleet as it is now: whoever is stopped meanwhile works no more, and says that it has stopped; only who is
        known not to follow (an open enforcement failure) goes on saying what it said."""
        with db.tenants([self.tenant_id]):
            rows = AgentInstance.objects.filter(state__in=REPORTS).select_related(
                "version", "provider", "status"
            )
            everyone = list(rows.order_by("pk"))
            unruly = Incident.objects.live().filter(
                kind=IncidentKind.ENFORCEMENT_FAILURE, instance__in=everyone
            )
            named = set(unruly.values_list("instance", flat=True))
            self.models = models_of(rows)
        self.fleet = [one for one in everyone if not is_silent(one)]
        self.defiant = {
            one.pk: (one.status.state, one.status.generation) for one in everyone if one.pk in named
        }
        self.known_since = now

    def _beat(self, instance: AgentInstance, now: datetime) -> int:
        state, generation = self.defiant.get(instance.pk, (instance.state, instance.generation))
        body = json.dumps({"state": state, "generation": generation}).encode()
        path = f"/api/v1/registry/instances/{instance.typeid}/heartbeat/"
        self.due[instance.pk] = now + timedelta(seconds=instance.provider.heartbeat_seconds / 2)
        return self.post(path, self.token, body, "application/json")

    def _work(self, now: datetime) -> tuple[int, int]:
        """(spans sent, requests refused)"""
        at_work = [one for one in self.fleet if one.state == InstanceState.ACTIVE]
        sent = refused = 0
        for instance in self._free(self.random.sample(at_work, min(JOBS, len(at_work)))):
            token = self.keys.get((instance.environment_id, instance.provider_id))
            if token is None:
                continue  # a place that was made after the start
            request = ExportTraceServiceRequest()
            worker = runner(instance, token, self.models)
            begun = now - timedelta(seconds=self.random.randrange(15, 30))
            sent += job(self.random, worker, begun, request.resource_spans.add())
            answer = self.post(
                "/otlp/v1/traces", token, request.SerializeToString(), "application/x-protobuf"
            )
            refused += answer != 200
        return sent, refused

    def _free(self, chosen: list[AgentInstance]) -> list[AgentInstance]:
        """Those that nothing stops at this moment: neither their own state nor a stop of anything above them."""
        with db.tenants([self.tenant_id]):
            rules, known = load_rules(self.tenant_id), load_agents([one.pk for one in chosen])
            return [one for one in chosen if one.pk in known and rules.standing_of(known[one.pk]).clear]


def is_silent(instance: AgentInstance) -> bool:
    """A few stay silent on purpose, always the same ones: the fleet page has something to show."""
    return instance.pk.int % SILENT_ONE_IN == 0


def _account(tenant: Tenant) -> User:
    """The machine account of the demo's runtimes: reads the directory and sends telemetry, nothing else."""
    known = User.objects.filter(username=ACCOUNT, kind=User.Kind.SERVICE).first()
    account = known or User(username=ACCOUNT, kind=User.Kind.SERVICE)
    if known is None:
        account.set_unusable_password()
        account.save()
    admin = User.objects.filter(is_superuser=True, is_active=True).order_by("pk")[0]
    if not Membership.objects.filter(tenant=tenant, user=account, active=True).exists():
        core.add_member(tenant=tenant, user=account, actor=admin, reason=REASON)
    if not RoleBinding.objects.filter(tenant=tenant, user=account, ended_at=None).exists():
        core.bind(principal=account, role="provider_service", scope=tenant, actor=admin, reason=REASON)
    return account
