"""Endpoints that take many rows at once: all of them are stored, or none is."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from arm.api import Endpoint, Request, StrictSerializer, tenant_of, validated
from arm.errors import Invalid, Problem
from registry import services
from registry.api.base import StrictJSON
from registry.protocol import rows
from registry.protocol.rows import Rows


class BulkIn(StrictSerializer):
    """`rows`: at most 10,000 objects. `dry_run`: judge them all and store nothing."""

    rows = serializers.JSONField()
    reason = serializers.CharField(max_length=500)
    dry_run = serializers.BooleanField(default=False)


class BulkTemplatesIn(BulkIn):
    """`update`: change the agents whose short names are taken, instead of refusing these rows."""

    update = serializers.BooleanField(default=False)  # type: ignore[assignment]


class BulkOut(serializers.Serializer[Any]):
    """What was stored, or with `dry_run` would be; `ids` in the order of the rows that make something."""

    stored = serializers.BooleanField()
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    same = serializers.IntegerField()
    ids = serializers.ListField(child=serializers.CharField())


def asked_rows(body: dict[str, Any]) -> Sequence[Any]:
    """The rows of a request; Invalid where they are no list, TooLarge where they are too many."""
    given = body["rows"]
    if not isinstance(given, list) or not given:
        message = "Must be a list of at least one row."
        raise Invalid(message, [Problem(pointer="/rows", code="type", message=message)])
    services.refuse_many(len(given))
    return given


def refuse_unread(read: Rows[Any], total: int) -> None:
    """Invalid with every row that is wrong in itself."""
    if read.problems:
        message = f"{read.bad:,} of {total:,} rows are wrong; nothing is stored."
        raise Invalid(message, read.problems, wrong_rows=read.bad)


class BulkInstances(Endpoint):
    """Instances in bulk."""

    parser_classes = [StrictJSON]

    @extend_schema(request=BulkIn, responses={201: BulkOut, 200: BulkOut})
    def post(self, request: Request) -> Response:
        """Provision up to 10,000 instances, all or none; every wrong row is named with its pointer."""
        body = validated(BulkIn, request)
        given = asked_rows(body)
        read = rows.read_instances(given)
        refuse_unread(read, len(given))
        made = services.provision_instances(
            tenant=tenant_of(request),
            rows=read.rows,
            actor=request.user,
            reason=body["reason"],
            dry_run=body["dry_run"],
        )
        ids = [] if body["dry_run"] else [row.typeid for row in made]
        return _answer(body["dry_run"], len(made), 0, 0, ids)


class BulkTemplates(Endpoint):
    """Agents in bulk."""

    parser_classes = [StrictJSON]

    @extend_schema(request=BulkTemplatesIn, responses={201: BulkOut, 200: BulkOut})
    def post(self, request: Request) -> Response:
        """Register up to 10,000 agents (or, with `update`, describe them anew), all or none."""
        body = validated(BulkTemplatesIn, request)
        given = asked_rows(body)
        read = rows.read_templates(given)
        refuse_unread(read, len(given))
        done = services.register_templates(
            tenant=tenant_of(request),
            rows=read.rows,
            actor=request.user,
            reason=body["reason"],
            dry_run=body["dry_run"],
            update=body["update"],
        )
        ids = [] if body["dry_run"] else [row.typeid for row, _ in done.create]
        same = sum(outcome == "same" for outcome in done.outcomes.values())
        return _answer(body["dry_run"], len(done.create), len(done.update), same, ids)


def _answer(dry_run: bool, created: int, updated: int, same: int, ids: list[str]) -> Response:
    body = {"stored": not dry_run, "created": created, "updated": updated, "same": same, "ids": ids}
    return Response(body, status=200 if dry_run else 201)
