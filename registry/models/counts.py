"""How many live instances each version has in each environment, kept as they come and go.

Counted row by row, forty thousand instances cost the wall forty thousand answers; kept, they are as many rows as there
are versions. Triggers write them (migration 0038); the application only reads.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from arm import db
from arm.models import Tenant


class LiveCount(models.Model):
    """A part of how many live instances a version has: `counts[i]` in the environment `places[i]`, `live` in all.

    A version's number is the sum of its rows, always. Mostly it is one row; transactions that end in the same moments
    leave one each, and the next change of that version makes one of them. A part by itself may be below zero."""

    application_may = db.READS

    tenant = models.ForeignKey(
        Tenant, models.DO_NOTHING, related_name="+", editable=False, db_constraint=False, db_index=False
    )
    version = models.ForeignKey(
        "registry.AgentVersion", models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    places = ArrayField(models.UUIDField())
    counts = ArrayField(models.IntegerField())
    live = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["version"], name="live_of_version")]

    def __str__(self) -> str:
        return str(self.live)
