"""Evaluation as machines read and write it."""

from typing import Any

from rest_framework import serializers

from arm.api import StrictSerializer, TypeIDField

from ..models import AllowedHost, Assignment, Baseline, Endpoint, Result, Run, Suite, SuiteVersion


class SuiteOut(serializers.ModelSerializer[Suite]):
    """`version` is the newest one's number; `agents` counts those that are asked now."""

    id = TypeIDField("sui", source="pk")
    version = serializers.IntegerField(source="newest_number")
    cases = serializers.IntegerField(source="newest_cases")
    agents = serializers.IntegerField(source="assigned")

    class Meta:
        model = Suite
        fields = (
            "id",
            "slug",
            "name",
            "purpose",
            "category",
            "capability",
            "version",
            "cases",
            "agents",
            "created_at",
        )


class SuiteVersionOut(serializers.ModelSerializer[SuiteVersion]):
    id = TypeIDField("suv", source="pk")
    suite = TypeIDField("sui", source="suite_id")
    cases = serializers.IntegerField(source="case_count")

    class Meta:
        model = SuiteVersion
        fields = ("id", "suite", "number", "digest", "threshold", "cases", "created_at")


class SuiteVersionDetailOut(SuiteVersionOut):
    """With the document: its RFC 8785 bytes have the digest."""

    document = serializers.JSONField()

    class Meta(SuiteVersionOut.Meta):
        fields = (*SuiteVersionOut.Meta.fields, "document")  # type: ignore[assignment]

    def to_representation(self, instance: SuiteVersion) -> dict[str, Any]:
        shown = SuiteVersionOut(instance).data
        return {**shown, "document": instance.raw}


class AssignmentOut(serializers.ModelSerializer[Assignment]):
    id = TypeIDField("sas", source="pk")
    suite = TypeIDField("sui", source="suite_id")
    template = TypeIDField("tpl", source="template_id")

    class Meta:
        model = Assignment
        fields = ("id", "suite", "template", "mandatory", "since", "until")


class EndpointOut(serializers.ModelSerializer[Endpoint]):
    """`version` null: all versions of the agent that have no endpoint of their own."""

    id = TypeIDField("eep", source="pk")
    template = TypeIDField("tpl", source="template_id")
    version = TypeIDField("ver", source="version_id", allow_null=True)

    class Meta:
        model = Endpoint
        fields = ("id", "template", "version", "url", "since", "until")


class AllowedHostOut(serializers.ModelSerializer[AllowedHost]):
    id = TypeIDField("alh", source="pk")

    class Meta:
        model = AllowedHost
        fields = ("id", "entry", "since", "until")


class RunOut(serializers.ModelSerializer[Run]):
    """`done` of `total` calls were made; passed, failed and errored count cases, once it has come out."""

    id = TypeIDField("run", source="pk")
    suite = TypeIDField("sui", source="suite_id")
    suite_version = TypeIDField("suv", source="suite_version_id")
    suite_digest = serializers.CharField(source="suite_version.digest")
    category = serializers.CharField(source="suite.category")
    template = TypeIDField("tpl", source="template_id")
    version = TypeIDField("ver", source="version_id")

    class Meta:
        model = Run
        fields = (
            "id",
            "suite",
            "suite_version",
            "suite_digest",
            "category",
            "template",
            "version",
            "genome_digest",
            "endpoint",
            "trigger",
            "state",
            "said",
            "total",
            "done",
            "passed",
            "failed",
            "errored",
            "results_digest",
            "created_at",
            "started_at",
            "finished_at",
        )


class VerdictOut(serializers.Serializer[Any]):
    scorer = serializers.CharField()
    field = serializers.CharField(allow_blank=True)
    passed = serializers.BooleanField()
    expected = serializers.CharField()
    found = serializers.CharField()
    message = serializers.CharField(allow_blank=True)


class ResultOut(serializers.ModelSerializer[Result]):
    """`problem` says as a stable code why it errored; `excerpt` is the beginning of the answer."""

    id = TypeIDField("res", source="pk")
    run = TypeIDField("run", source="run_id")
    verdicts = VerdictOut(many=True)

    class Meta:
        model = Result
        fields = (
            "id",
            "run",
            "case",
            "case_digest",
            "turn",
            "severity",
            "outcome",
            "problem",
            "detail",
            "verdicts",
            "http_status",
            "latency_ms",
            "answer_digest",
            "excerpt",
            "at",
        )


class EvaluationReasonIn(StrictSerializer):
    reason = serializers.CharField(max_length=500)


class CapabilityIn(EvaluationReasonIn):
    """Empty: it measures none."""

    capability = serializers.CharField(max_length=80, allow_blank=True)


class SuiteVersionIn(EvaluationReasonIn):
    """`document` is a suite (arm.suite/v1); every problem of it is named at once."""

    document = serializers.JSONField()


class SuiteIn(SuiteVersionIn):
    slug = serializers.SlugField(max_length=80)
    name = serializers.CharField(max_length=200)
    purpose = serializers.CharField(default="", allow_blank=True)


class AssignmentIn(EvaluationReasonIn):
    suite = TypeIDField("sui")
    template = TypeIDField("tpl")
    mandatory = serializers.BooleanField(default=True)


class EndpointIn(EvaluationReasonIn):
    template = TypeIDField("tpl")
    version = TypeIDField("ver", required=False, allow_null=True, default=None)
    url = serializers.CharField(max_length=500)


class AllowedHostIn(EvaluationReasonIn):
    entry = serializers.CharField(max_length=253)


class RunIn(EvaluationReasonIn):
    suite = TypeIDField("sui")
    version = TypeIDField("ver")


class BaselineOut(serializers.ModelSerializer[Baseline]):
    """`run`: what the suite of the agent is held against, from when until when."""

    id = TypeIDField("bsl", source="pk")
    suite = TypeIDField("sui", source="suite_id")
    template = TypeIDField("tpl", source="template_id")
    run = TypeIDField("run", source="run_id")

    class Meta:
        model = Baseline
        fields = ("id", "suite", "template", "run", "reason", "since", "until")


class BaselineIn(EvaluationReasonIn):
    run = TypeIDField("run")
