"""Instances at moments of a noon in March, for tests of what was."""

from datetime import UTC, datetime, timedelta

from django.test import Client

from arm import clock
from registry import services
from registry.models import AgentInstance
from registry.queries.history import Moment, instances_at
from tests import make

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def provisioned(by, at: datetime = NOON, name: str = "desk", **kw) -> AgentInstance:
    version = kw.pop("version", None) or make.approved()
    with clock.at(at):
        return services.provision_instance(
            version=version, environment=kw.get("environment") or make.environment(), provider=make.provider(),
            name=name, actor=by, reason="test",
        )  # fmt: skip


def moved(instance, to, by, at: datetime) -> None:
    with clock.at(at):
        services.move_instance(instance=instance, to=to, actor=by, reason="test")


def told(instance, state, since, by, at: datetime) -> None:
    with clock.at(at):
        services.tell_past(instance=instance, state=state, since=since, actor=by, reason="told late")


def state_at(instance, at: datetime, known: datetime | None = None) -> str | None:
    row = instances_at(Moment(at, known or at), AgentInstance.objects.filter(pk=instance.pk)).get()
    return row.then_state


def signed_in(person) -> Client:
    client = Client()
    client.force_login(person)
    return client
