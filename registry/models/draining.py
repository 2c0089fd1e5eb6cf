"""How far the look at what has drained has come in each tenant."""

from django.db import models

from arm.models import TenantRow


class DrainRound(TenantRow):
    """One row a tenant: the mark of the worker that looks at what leaves, so that no second one begins beside it. `reached`
    is the last instance that was looked at: a round whose worker was lost goes on there."""

    prefix = "drn"

    turn = models.PositiveBigIntegerField(default=0, help_text="Which taking of the mark holds it.")
    reached = models.UUIDField(null=True)
    touched_at = models.DateTimeField(null=True, help_text="When its worker was last at it; empty: none is.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="drain_round_once")]

    def __str__(self) -> str:
        return f"Round {self.turn} of {self.tenant_id}"
