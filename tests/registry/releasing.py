"""What tests of releases share: a slot with a version that runs, another version, and health facts that a test sets."""

import html
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from registry import services
from registry.engine import Fact
from registry.models import DeploymentSlot, Rollout
from tests import make


class Told:
    """An app that knows what the test says: {name: whether it is well, or None}."""

    names: Sequence[str] = ("errors", "incidents", "cost")
    said: ClassVar[dict[str, bool | None]] = {}

    def facts(self, **asked: Any) -> list[Fact]:
        return [
            Fact(
                name, None, asked["limits"].get(name), self.said.get(name), f"{name}: {self.said.get(name)}."
            )
            for name in self.names
        ]


def bound(slot: DeploymentSlot, *versions: Any, actor: Any) -> DeploymentSlot:
    """The slot after it was bound to each of these."""
    for version in versions:
        slot = services.bind_slot(slot=slot, version=version, actor=actor, reason="go")
    return slot


def running(slot: DeploymentSlot, version: Any, number: int, **kw: Any) -> list[Any]:
    """Instances of the version at work in the slot."""
    return [
        make.instance(
            version=version,
            environment=slot.environment,
            provider=slot.provider,
            slot=slot,
            role=slot.role,
            name=f"clerk-{n}",
            **kw,
        )
        for n in range(number)
    ]


def planned(slots: Any, version: Any, actor: Any, **kw: Any) -> Rollout:
    slots = slots if isinstance(slots, list) else [slots]
    usual = {"strategy": "all", "reason": "Better answers", "drain": "at_once"}
    return services.plan_rollout(slots=slots, version=version, actor=actor, **usual | kw)


def started(slots: Any, version: Any, actor: Any, **kw: Any) -> Rollout:
    rollout = planned(slots, version, actor, **kw)
    return services.start_rollout(rollout=rollout, actor=actor, reason="now")


def states(slot: DeploymentSlot, version: Any) -> list[str]:
    return sorted(version.instances.filter(slot=slot).values_list("state", flat=True))


def shown(page: str) -> dict[str, str]:
    """The hidden fields of a rollback's page, as its form sends them back."""
    fields = re.findall(r'<input type="hidden" name="(leaving|targets)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in fields}
