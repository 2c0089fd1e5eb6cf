"""What this process remembers: credentials, the rules of each tenant, and one ready view per agent.

Nothing here decides how old it may be: `confirmed_at` says when it was last known to be current, the engine judges.
"""

import hashlib
import threading
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from arm import clock, crypto, db
from arm.errors import NotFound, Unauthenticated
from arm.models import ApiKey, Membership, User
from arm.permissions import allowed
from arm.queries import acts, key_by_digest
from arm.rights import Right
from registry.models import AgentInstance, KeyScope

from ..engine import Envelope, Loop, Standing
from ..queries.standing import Agent, Rules, load_agents, load_rules

UNKNOWN: Final = "This token is unknown, expired, revoked, or may not ask for decisions."
NO_AGENT: Final = "There is no such agent for this token."
RIGHT_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 3600.0
CREDENTIALS: Final = 10_000


class Credential(Struct):
    """Who asks: a workload token (one instance) or a service token (an account with the right to ask)."""

    key_id: UUID
    tenant_id: UUID
    instance_id: UUID | None
    user: User | None
    expires_at: datetime | None
    version: int
    may_ask: dict[UUID, float] = {}

    def live(self) -> bool:
        return self.expires_at is None or self.expires_at > clock.now()


class View(Struct):
    """One agent, ready to be judged. `loaded_at`: when its rows were read (seconds)."""

    agent: Agent
    rules: Rules
    envelope: Envelope
    standing: Standing
    loaded_at: float
    used_at: float
    ends_at: float | None
    tenant: bytes
    instance: bytes
    build: bytes


class _Tenant:
    """The rules of one tenant with its agents' views, and how often either was touched."""

    def __init__(self) -> None:
        self.loading = threading.Lock()
        self.guard = threading.Lock()
        self.touched = 0
        self.rules: Rules | None = None
        self.rules_for = -1
        self.views: dict[UUID, View] = {}
        self.stale: dict[UUID, int] = {}
        self.below: dict[UUID, set[UUID]] = {}
        """Whose views rest on this agent, since it started them."""
        self.credentials: dict[bytes, Credential] = {}

    def touch(self, instance_id: UUID | None = None) -> None:
        with self.guard:
            if instance_id is None:
                self.touched += 1
            else:
                for one in (instance_id, *self.below.get(instance_id, ())):
                    self.stale[one] = self.stale.get(one, 0) + 1

    def marks(self) -> tuple[int, dict[UUID, int]]:
        with self.guard:
            return self.touched, dict(self.stale)

    def loaded(self, version: int, stale: dict[UUID, int], agents: Iterable[Agent]) -> None:
        """What was touched before the marks were read is fresh now; what was touched since is not, nor what rests on it."""
        with self.guard:
            self.rules_for = version
            for agent in agents:
                for over in agent.above:
                    self.below.setdefault(over.id, set()).add(agent.id)
                if any(self.stale.get(over.id, 0) != stale.get(over.id, 0) for over in agent.above):
                    self.stale[agent.id] = self.stale.get(agent.id, 0) + 1
            for instance_id, times in stale.items():
                if self.stale.get(instance_id) == times:
                    del self.stale[instance_id]


class Fleet:
    """Thread-safe: readers take no lock, loaders take their tenant's."""

    def __init__(self) -> None:
        self.confirmed_at = 0.0
        self._tenants: dict[UUID, _Tenant] = {}
        self._credentials: dict[bytes, Credential] = {}

    # what the watcher says

    def touch(self, tenant_id: UUID, instance_id: UUID | None) -> None:
        """Forget what is remembered of the tenant, or of this one agent."""
        held = self._tenants.get(tenant_id)
        if held is not None:
            held.touch(instance_id)

    def touch_everything(self) -> None:
        for held in list(self._tenants.values()):
            held.touch()

    def confirm(self, at: float) -> None:
        """Everything not touched was current at this moment."""
        self.confirmed_at = max(self.confirmed_at, at)

    def tidy(self, now: float) -> None:
        """Drop the views of agents that have not asked for an hour."""
        for held in list(self._tenants.values()):
            for instance_id, view in list(held.views.items()):
                if now - view.used_at > IDLE_SECONDS:
                    held.views.pop(instance_id, None)
                    for over in view.agent.above:
                        held.below.get(over.id, set()).discard(instance_id)

    def with_loop(self, rule: Loop) -> dict[tuple[UUID, int], set[UUID]]:
        """(tenant, window) to the agents whose policies count this loop."""
        found: dict[tuple[UUID, int], set[UUID]] = {}
        for tenant_id, held in list(self._tenants.items()):
            for instance_id, view in list(held.views.items()):
                for key in view.envelope.loops:
                    if key.rule == rule:
                        found.setdefault((tenant_id, key.window_s), set()).add(instance_id)
        return found

    # what the lane asks

    def known(self, header: str) -> Credential | None:
        """The remembered credential, if it still holds."""
        found = self._credentials.get(_name(header))
        if found is None or not found.live():
            return None
        return found if found.version == self._tenant(found.tenant_id).touched else None

    def view(self, tenant_id: UUID, instance_id: UUID) -> View | None:
        """The agent as remembered; None when it must be loaded."""
        held = self._tenants.get(tenant_id)
        if held is None or held.rules_for != held.touched or instance_id in held.stale:
            return None
        found = held.views.get(instance_id)
        if found is None:
            return None
        now = time.time()
        if found.ends_at is not None and found.ends_at <= now:
            held.touch()  # a posture has ended by itself
            return None
        found.used_at = now
        return found

    def may_ask(self, credential: Credential, instance_id: UUID) -> bool:
        """Whether the credential may ask for this agent, as far as is known without the database."""
        if credential.instance_id is not None:
            return credential.instance_id == instance_id
        return credential.may_ask.get(instance_id, 0.0) > time.time()

    def as_of(self, view: View) -> float:
        return max(self.confirmed_at, view.loaded_at)

    # loading (with a database connection)

    def identify(self, header: str) -> Credential:
        """Who asks. Unauthenticated for whatever is not a live workload or service token."""
        name = _name(header)
        remembered = self._credentials.get(name)
        if remembered is not None:
            held = self._tenant(remembered.tenant_id)
            with held.loading:
                self._refresh(remembered.tenant_id, held, set())
            if (found := self.known(header)) is not None:
                return found
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("Send `Authorization: Bearer armw_…`, or a service token.")
        try:
            digest = crypto.token_digest(token.strip())
        except ValueError as problem:
            raise Unauthenticated(str(problem)) from problem
        key = key_by_digest(digest)
        if key is None:
            raise Unauthenticated(UNKNOWN)
        held = self._tenant(key.tenant_id)
        version = held.touched  # before the row is read again: a revocation since then touches
        with db.tenants([key.tenant_id]):
            found = _credential(ApiKey.objects.select_related("user").get(pk=key.pk), version)
        if found is None:
            raise Unauthenticated(UNKNOWN)
        if len(self._credentials) >= CREDENTIALS:
            self._credentials.clear()
            for other in list(self._tenants.values()):
                other.credentials = {}
        self._credentials[name] = held.credentials[name] = found
        return found

    def require_may_ask(self, credential: Credential, instance_id: UUID) -> None:
        """NotFound for another's agent, and for one that the account may not ask for: neither exists for it."""
        if self.may_ask(credential, instance_id):
            return
        missing = NotFound(NO_AGENT)
        if credential.user is None:
            raise missing
        with db.tenants([credential.tenant_id]):
            row = AgentInstance.objects.filter(pk=instance_id).first()
            if row is None or not allowed(credential.user, Right.ASK_DECISION, row):
                raise missing
        if len(credential.may_ask) >= CREDENTIALS:
            credential.may_ask.clear()
        credential.may_ask[instance_id] = time.time() + RIGHT_SECONDS

    def load(self, tenant_id: UUID, instance_id: UUID) -> View:
        """Read what is stale of the tenant, and this agent. NotFound where it does not exist there."""
        held = self._tenant(tenant_id)
        with held.loading:
            if (found := self.view(tenant_id, instance_id)) is not None:
                return found
            self._refresh(tenant_id, held, {instance_id})
            if instance_id not in held.views:
                raise NotFound(NO_AGENT)
            return held.views[instance_id]

    def _refresh(self, tenant_id: UUID, held: _Tenant, asked: set[UUID]) -> None:
        """Marks first, rows second: what is touched while we read is read again by the next caller."""
        version, stale = held.marks()
        whole = held.rules is None or held.rules_for != version
        wanted = asked | (set(held.views) if whole else set(stale) & set(held.views))
        if not whole and not wanted:
            return
        at = time.time()
        credentials = dict(held.credentials)
        with db.tenants([tenant_id]):
            rules = load_rules(tenant_id) if whole or held.rules is None else held.rules
            views = dict(_views(rules, load_agents(wanted).values(), at, held.views))
            renewed = _renewed(credentials, version) if whole else {}
        if whole:
            held.rules, held.views = rules, views
            for name, credential in credentials.items():
                if name in renewed:
                    self._credentials[name] = held.credentials[name] = renewed[name]
                elif held.credentials.get(name) is credential:
                    self._credentials.pop(name, None)
                    held.credentials.pop(name, None)
        else:
            for gone in wanted - set(views):
                held.views.pop(gone, None)
            held.views.update(views)
        held.loaded(version, stale, [view.agent for view in views.values()])

    def _tenant(self, tenant_id: UUID) -> _Tenant:
        return self._tenants.setdefault(tenant_id, _Tenant())


def _views(
    rules: Rules, agents: Iterable[Agent], at: float, before: dict[UUID, View]
) -> Iterable[tuple[UUID, View]]:
    ends_at = rules.holds_until
    for agent in agents:
        earlier = before.get(agent.id)
        yield (
            agent.id,
            View(
                agent=agent,
                rules=rules,
                envelope=rules.envelope_of(agent),
                standing=rules.standing_of(agent),
                loaded_at=at,
                used_at=earlier.used_at if earlier else at,
                ends_at=ends_at,
                tenant=agent.tenant_id.bytes,
                instance=agent.id.bytes,
                build=agent.version_id.bytes,
            ),
        )


def _name(header: str) -> bytes:
    return hashlib.sha256(header.encode("utf-8", "surrogateescape")).digest()


def _credential(key: ApiKey, version: int) -> Credential | None:
    """What the key says now; None when it is not, or no longer, one that may ask."""
    if not key.live:
        return None
    if key.kind == ApiKey.Kind.WORKLOAD:
        bound = KeyScope.objects.filter(key=key).values_list("instance_id", flat=True).first()
        if bound is None:
            return None
        return Credential(key.pk, key.tenant_id, bound, None, key.expires_at, version)
    if key.kind != ApiKey.Kind.SERVICE or not acts(key):
        return None
    return Credential(key.pk, key.tenant_id, None, key.user, key.expires_at, version)


def _renewed(credentials: dict[bytes, Credential], version: int) -> dict[bytes, Credential]:
    """All remembered credentials of a tenant, read again together."""
    ids = {credential.key_id for credential in credentials.values()}
    keys = {key.pk: key for key in ApiKey.objects.select_related("user").filter(pk__in=ids)}
    people = {key.user_id for key in keys.values() if key.user is not None and key.user.is_active}
    members = set(Membership.objects.filter(user__in=people, active=True).values_list("tenant_id", "user_id"))
    bound = dict(KeyScope.objects.filter(key__in=ids).values_list("key_id", "instance_id"))
    found: dict[bytes, Credential] = {}
    for name, credential in credentials.items():
        key = keys.get(credential.key_id)
        if key is None or not key.live:
            continue
        if credential.instance_id is not None:
            if bound.get(key.pk) == credential.instance_id:
                found[name] = Credential(
                    key.pk, key.tenant_id, credential.instance_id, None, key.expires_at, version
                )
        elif (key.tenant_id, key.user_id) in members:
            found[name] = Credential(key.pk, key.tenant_id, None, key.user, key.expires_at, version)
    return found
