"""Endpoints of what is stored: the sweeps that looked at it, and what they found."""

from typing import Any, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from arm import ids
from arm.api import TypeIDField
from arm.models import User
from registry import queries
from registry.api.base import DirectoryViewSet
from registry.filters.integrity import FindingFilter, SweepFilter
from registry.models import IntegrityFinding, IntegritySweep


class SweepOut(serializers.Serializer[Any]):
    """One round over every genome and prompt. `wrong`: rows that did not match their digest."""

    id = TypeIDField("swp", source="pk")
    phase = serializers.ChoiceField(IntegritySweep.Phase.choices)
    genomes = serializers.IntegerField()
    prompts = serializers.IntegerField()
    checked_versions = serializers.IntegerField(source="versions")
    bytes = serializers.IntegerField(source="octets")
    wrong = serializers.IntegerField()
    began_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class FindingOut(serializers.Serializer[Any]):
    """Stored bytes that are not those of their digest; or, where `version` is named, a version that has another genome
    (`computed`) than its records name (`digest`). `sweep` null: found on reading. `versions`: what they define or
    are part of, as far as the caller sees it, at most 50. `incident`: the one that was opened."""

    id = TypeIDField("itf", source="pk")
    genome = TypeIDField("gen", source="genome_id", default=None, allow_null=True)
    prompt = TypeIDField("prm", source="prompt_id", default=None, allow_null=True)
    version = TypeIDField("ver", source="version_id", default=None, allow_null=True)
    versions = serializers.SerializerMethodField()
    digest = serializers.CharField()
    computed = serializers.CharField()
    sweep = TypeIDField("swp", source="sweep_id", default=None, allow_null=True)
    incident = TypeIDField("inc", source="incident_id", default=None, allow_null=True)
    found_at = serializers.DateTimeField()
    restored_at = serializers.DateTimeField(allow_null=True)

    @extend_schema_field(serializers.ListField(child=TypeIDField("ver")))
    def get_versions(self, row: IntegrityFinding) -> list[str]:
        found: dict[UUID, list[UUID]] = self.context["versions"]
        return [ids.encode("ver", pk) for pk in found.get(row.pk, [])]


class SweepViewSet(DirectoryViewSet[IntegritySweep]):
    """Nightly rounds over what is stored, newest first."""

    queryset = IntegritySweep.objects.all()
    serializer_class = SweepOut
    filterset_class = SweepFilter
    prefix = "swp"


class FindingViewSet(DirectoryViewSet[IntegrityFinding]):
    """What did not match its digest, newest first; with `open=true`, what still does not."""

    queryset = IntegrityFinding.objects.select_related("genome", "prompt").defer(
        "genome__content", "prompt__content"
    )
    serializer_class = FindingOut
    filterset_class = FindingFilter
    prefix = "itf"

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        if args:
            rows = list(args[0]) if kwargs.get("many") else [args[0]]
            found = queries.versions_found(rows, cast(User, self.request.user))
            kwargs["context"] = {**self.get_serializer_context(), "versions": found}
        return super().get_serializer(*args, **kwargs)
