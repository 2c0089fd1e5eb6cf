"""What an Agent Card says of policy."""

from typing import Any

from arm import clock
from registry.models import AgentVersion

from ..queries.policies import bound_to


class CardPolicy:
    """The policies that hold for the version wherever it runs, each by the digest of its exact text."""

    name = "policy"

    def section(self, version: AgentVersion) -> dict[str, Any] | None:
        said = [(one.binding, one.version) for one in bound_to(version) if one.version is not None]
        if not said:
            return None
        return {
            "autonomyTier": min(active.tier for _, active in said),
            "bindings": [
                {
                    "policyId": binding.policy.typeid,
                    "name": binding.policy.name,
                    "version": active.number,
                    "digest": active.digest,
                    "autonomyTier": active.tier,
                    "boundTo": {"kind": binding.target_kind, "name": str(binding.target)},
                    "since": clock.stamp(binding.since),
                }
                for binding, active in said
            ],
        }
