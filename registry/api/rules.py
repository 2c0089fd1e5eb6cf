"""Endpoint of what a tenant asks of its whole directory: one document, read with its ETag and changed by it."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from arm.api import Endpoint, Request, tenant_of, validated
from arm.api.again import etag_of, hold, must_match, not_modified
from arm.permissions import require
from arm.rights import Right
from registry import queries, services
from registry.api.base import StrictJSON
from registry.api.serializers import Reasoned
from registry.genome import PROFILES


class RulesOut(serializers.Serializer[Any]):
    """`profiles`: what every genome must describe before it is tested. `verified_evidence`: production and high risks take
    versions with a verified Agent Card only. `deprecates_from`: how severe an incident is that deprecates its version by
    itself. `approvals`: how many people must approve a version, by the risk class of its agent. `channels`: the environments in the order in which versions climb them (`PATCH environments/…/` moves them)."""

    profiles = serializers.ListField(child=serializers.ChoiceField(sorted(PROFILES)))
    prompts_kept = serializers.BooleanField()
    verified_evidence = serializers.BooleanField()
    deprecates_from = serializers.ChoiceField(["", *services.SEVERITIES])
    providers = serializers.ListField(
        child=serializers.CharField(), help_text="Where something new may run; empty: everywhere."
    )
    approvals = serializers.DictField(child=serializers.IntegerField())
    channels = serializers.ListField(child=serializers.CharField())


class RulesIn(Reasoned):
    """What is left out stays as it is; `profiles` are exactly these from then on."""

    profiles = serializers.ListField(
        child=serializers.CharField(max_length=40), max_length=len(PROFILES), required=False
    )
    prompts_kept = serializers.BooleanField(required=False)
    verified_evidence = serializers.BooleanField(required=False)
    deprecates_from = serializers.ChoiceField(["", *services.SEVERITIES], required=False, allow_blank=True)
    providers = serializers.ListField(
        child=serializers.SlugField(max_length=60), max_length=1000, required=False
    )
    approvals = serializers.DictField(
        child=serializers.IntegerField(),
        required=False,
        help_text="{risk class: people}; what is not named: 1.",
    )


class Rules(Endpoint):
    """The tenant's rules. Every member of the directory's readers sees them; who manages the directory changes them."""

    parser_classes = [StrictJSON]

    @extend_schema(responses={200: RulesOut, 304: None})
    def get(self, request: Request) -> Any:
        """What this tenant asks of its versions."""
        require(request.user, Right.READ_DIRECTORY, tenant_of(request))
        answer = self._shown(request)
        answer.headers["ETag"] = etag_of(answer.data)
        return not_modified(request, answer)

    @extend_schema(
        request=RulesIn,
        responses=RulesOut,
        parameters=[
            OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="ETag of what was read.")
        ],
    )
    def patch(self, request: Request) -> Response:
        """Change them for a reason. Versions keep the state that they are in."""
        tenant = tenant_of(request)
        require(request.user, Right.READ_DIRECTORY, tenant)
        if "If-Match" in request.headers:
            hold(tenant)
            must_match(request, tenant, [etag_of(self._shown(request).data)])
        body = validated(RulesIn, request)
        services.set_rules(tenant=tenant, actor=request.user, **body)
        answer = self._shown(request)
        answer.headers["ETag"] = etag_of(answer.data)
        return answer

    def _shown(self, request: Request) -> Response:
        return Response(RulesOut(queries.rules_of(tenant_of(request))).data)
