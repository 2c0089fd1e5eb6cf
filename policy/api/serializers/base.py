"""What every representation of a row of policy has."""

from typing import Any

from rest_framework import serializers

from arm import ids
from arm.api import StrictSerializer
from arm.models import Tenant, TenantRow

API = "/api/v1/policy"
OBJECT = {"type": "object", "additionalProperties": True}


class Out(serializers.ModelSerializer[Any]):
    """Every representation has the row's identifier and its address."""

    noun = ""
    url = serializers.SerializerMethodField()

    def get_url(self, row: TenantRow) -> str:
        return f"{API}/{self.noun}/{row.typeid}/"


def shown(target: Any) -> str:
    """The identifier of what a binding or a posture is about."""
    return ids.encode(Tenant.prefix, target.pk) if isinstance(target, Tenant) else target.typeid


class ReasonIn(StrictSerializer):
    reason = serializers.CharField(max_length=500)
