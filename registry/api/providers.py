"""What endpoints of providers and slots have of their end: changing, closing, reopening, emptying."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from arm.api import Request, validated
from registry import queries, services
from registry.api import serializers as words
from registry.api.serializers import Reasoned


class ProviderChange(Reasoned):
    """What is left out stays."""

    name = serializers.CharField(max_length=160, required=False)
    description = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    region = serializers.CharField(max_length=80, required=False, allow_blank=True)
    terms = serializers.CharField(max_length=20_000, required=False, allow_blank=True)
    heartbeat_seconds = serializers.IntegerField(min_value=5, max_value=86_400, required=False)


class ProviderLife:
    """Changing a provider, and its end."""

    @extend_schema(request=ProviderChange, responses=words.ProviderOut)
    def partial_update(self, request: Request, id: str) -> Response:
        """Change what it is called, where it stands, what was agreed, or its heartbeat."""
        provider = self.get_object()  # type: ignore[attr-defined]
        body = validated(ProviderChange, request)
        changed = services.update_provider(provider=provider, actor=request.user, **body)
        return Response(words.ProviderOut(changed).data)

    @extend_schema(request=Reasoned, responses=words.ProviderOut)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, id: str) -> Response:
        """Nothing new begins there. 409 while slots there hold a version or instances live, with how many."""
        provider = self.get_object()  # type: ignore[attr-defined]
        body = validated(Reasoned, request)
        return Response(
            words.ProviderOut(services.close_provider(provider=provider, actor=request.user, **body)).data
        )

    @extend_schema(request=Reasoned, responses=words.ProviderOut)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, id: str) -> Response:
        """It takes something new again."""
        provider = self.get_object()  # type: ignore[attr-defined]
        body = validated(Reasoned, request)
        return Response(
            words.ProviderOut(services.reopen_provider(provider=provider, actor=request.user, **body)).data
        )


class EmptySlotIn(Reasoned):
    close = serializers.BooleanField(default=False, help_text="It takes no version any more.")


class EmptyingOut(serializers.Serializer[Any]):
    """How many would drain, be withdrawn before they began, and stay as they are."""

    drains = serializers.IntegerField()
    withdrawn = serializers.IntegerField()
    left = serializers.IntegerField()
    held = serializers.SerializerMethodField(help_text="Whether a rollout holds the slot.")

    def get_held(self, row: queries.Emptying) -> bool:
        return row.rollout is not None


class SlotEnd:
    """What a slot's endpoint has of its end."""

    @extend_schema(responses=EmptyingOut)
    @action(
        detail=True, methods=["get"], url_path="empty-preview", pagination_class=None, filterset_class=None
    )
    def empty_preview(self, request: Request, id: str) -> Response:
        """What emptying it would do; nothing is changed."""
        return Response(EmptyingOut(queries.emptying(self.get_object())).data)  # type: ignore[attr-defined]

    @extend_schema(request=EmptySlotIn, responses=words.SlotOut)
    @action(detail=True, methods=["post"])
    def empty(self, request: Request, id: str) -> Response:
        """Unbind it: what works there drains. 409 while a rollout holds it."""
        slot = self.get_object()  # type: ignore[attr-defined]
        body = validated(EmptySlotIn, request)
        return Response(words.SlotOut(services.empty_slot(slot=slot, actor=request.user, **body)).data)
