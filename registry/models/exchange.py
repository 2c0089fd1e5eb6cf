"""What exchange with others needs: whose published keys are believed when they sign an agent card."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse

from arm import clock
from arm.models import TenantRow


class CardKeySource(TenantRow):
    """An address at which somebody publishes keys (a JWK Set), and whose signatures on agent cards this tenant
    believes. Cards that name any other address stay unverified, and that address is never called."""

    prefix = "cks"

    url = models.CharField(max_length=500, help_text="Exactly as cards name it in “jku”.")
    internal = models.BooleanField(
        default=False, help_text="Its host may have an address that is not public."
    )
    since = models.DateTimeField(default=clock.now, editable=False)
    until = models.DateTimeField(null=True, editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, null=True, related_name="+")

    class Meta:
        ordering = ["-pk"]
        verbose_name = "key source of agent cards"
        verbose_name_plural = "key sources of agent cards"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "url"], condition=Q(until=None), name="card_key_source_once"
            )
        ]

    def __str__(self) -> str:
        return self.url

    def get_absolute_url(self) -> str:
        return reverse("registry:card_key_list")
