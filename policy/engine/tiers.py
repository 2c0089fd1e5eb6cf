"""Autonomy tiers: what each number means for each risk class, everywhere the same."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from policy.engine.terms import Effect, Risk

ALLOW, APPROVE, DENY = Effect.ALLOW, Effect.APPROVE, Effect.DENY


@dataclass(frozen=True)
class Tier:
    number: int
    name: str
    green: Effect
    yellow: Effect
    red: Effect
    spawn: bool
    listed_red: bool = False  # a red tool that an allow rule names in full is allowed
    review_after: bool = False

    def effect(self, risk: Risk, listed: bool) -> Effect:
        """Return what this tier says about a class; `listed`: an allow rule names the tool itself."""
        if risk == Risk.RED:
            return ALLOW if listed and self.listed_red else self.red
        return self.yellow if risk == Risk.YELLOW else self.green


TIERS = (
    Tier(0, "none", APPROVE, APPROVE, DENY, spawn=False),
    Tier(1, "assisted", ALLOW, APPROVE, APPROVE, spawn=False),
    Tier(2, "supervised", ALLOW, ALLOW, APPROVE, spawn=False),
    Tier(3, "delegated", ALLOW, ALLOW, APPROVE, spawn=True, listed_red=True),
    Tier(4, "trusted", ALLOW, ALLOW, ALLOW, spawn=True, review_after=True),
    Tier(5, "full", ALLOW, ALLOW, ALLOW, spawn=True),
)


@dataclass(frozen=True)
class TierOverlay:
    """A tenant's ceiling for some tools. It lowers the tier that applies; it cannot change its meaning."""

    tool: str
    ceiling: int


def tier_for(tool: str, tier: int, overlays: tuple[TierOverlay, ...]) -> Tier:
    """Return the tier that holds for a (lower-case) tool name under a tenant's ceilings."""
    ceilings = [overlay.ceiling for overlay in overlays if fnmatchcase(tool, overlay.tool.lower())]
    return TIERS[min([tier, *ceilings])]
