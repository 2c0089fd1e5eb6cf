"""The simulator for machines: the same function as the live decision, and nothing is stored."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response
from rest_framework.views import APIView

from arm import ids
from arm.api import Request, tenant_of, validated
from arm.errors import Invalid, NotAllowed, Problem
from arm.permissions import held_anywhere
from arm.rights import Right
from policy.api import serializers as words
from policy.api.base import row_of
from policy.models import PolicyVersion
from policy.queries import simulation
from registry.api.base import StrictJSON
from registry.models import AgentInstance, AgentVersion, Environment

SUBJECTS: dict[str, Any] = {"ver": AgentVersion, "ins": AgentInstance}


class Simulate(APIView):
    """What would be answered about a version or instance, in an environment, under a policy."""

    parser_classes = [StrictJSON]

    @extend_schema(request=words.SimulateIn, responses=words.SimulationOut)
    def post(self, request: Request) -> Response:
        """Every tool of its manifest, or one call with its arguments. Limits count as unused, loops as unseen."""
        tenant_of(request)
        if Right.READ_POLICY.value not in held_anywhere(request.user):
            raise NotAllowed("You may not read policies.", right=Right.READ_POLICY.value)
        body = validated(words.SimulateIn, request)
        place = None
        if slug := body["environment"]:
            place = row_of(Environment, "/environment", request, Right.READ_DIRECTORY, slug=slug)
        tried = None
        if pk := body["policy_version"]:
            tried = row_of(PolicyVersion, "/policy_version", request, Right.READ_POLICY, pk=pk)
        bench = simulation.bench(
            _subject(body["subject"], request), environment=place, tried=tried, alone=body["alone"]
        )
        if body["tool"]:
            _, answer = simulation.answer(bench, body["tool"], body["args"])
            return Response(words.AnswerOut(answer).data)
        return Response(words.SimulationOut(simulation.simulate(bench, everything=body["catalogue"])).data)


def _subject(text: str, request: Request) -> Any:
    kind = text.rpartition("_")[0]
    try:
        model, pk = SUBJECTS[kind], ids.decode(kind, text)
    except (KeyError, ValueError) as problem:
        sentence = "Name a version (ver_…) or an instance (ins_…)."
        said = Problem(pointer="/subject", code="invalid", message=sentence)
        raise Invalid(sentence, [said]) from problem
    return row_of(model, "/subject", request, Right.READ_DIRECTORY, pk=pk)
