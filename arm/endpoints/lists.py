"""`/api/v1/views/…`: saved views of lists. The same rules as on the pages: own ones, and those that others share."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import routers, serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from arm import services
from arm.api import Request, ScopedViewSet, StrictSerializer, TypeIDField, tenant_of, validated
from arm.filters import ViewFilter
from arm.listing import address_of, problems_of, seen_views
from arm.models import SavedView
from arm.rights import Right


class ViewOut(serializers.Serializer[Any]):
    """`query`: filters and order as they stand in the list's address. `problems`: why it cannot be opened any more."""

    id = TypeIDField("viw", source="pk")
    list = serializers.CharField(source="list_name")
    name = serializers.CharField()
    query = serializers.CharField()
    shared = serializers.BooleanField()
    default = serializers.BooleanField(source="is_default")
    owner = serializers.CharField(source="owner.username")
    url = serializers.SerializerMethodField()
    problems = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()

    def get_url(self, view: SavedView) -> str:
        return address_of(view)

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_problems(self, view: SavedView) -> Sequence[str]:
        return problems_of(view)


class ViewIn(StrictSerializer):
    """`list`: the name of the list's address, such as `registry:instance_list`. `reason` is kept where others see it."""

    list = serializers.CharField(max_length=80)
    name = serializers.CharField(max_length=80)
    query = serializers.CharField(max_length=4000, allow_blank=True, default="")
    shared = serializers.BooleanField(default=False)
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class ViewChange(StrictSerializer):
    """What is left out stays as it is."""

    name = serializers.CharField(max_length=80, required=False)
    query = serializers.CharField(max_length=4000, allow_blank=True, required=False)
    shared = serializers.BooleanField(required=False)
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class ViewDefault(StrictSerializer):
    default = serializers.BooleanField()


class ViewEnd(StrictSerializer):
    reason = serializers.CharField(max_length=500, allow_blank=True, default="")


class ViewDeleted(serializers.Serializer[Any]):
    """Whose lists opened with it, besides one's own."""

    default_of = serializers.ListField(child=serializers.CharField())


class ViewViewSet(ScopedViewSet[SavedView]):
    """Saved views: the caller's own, and what others share of lists that the caller may open."""

    queryset = SavedView.objects.all()
    serializer_class = ViewOut
    filterset_class = ViewFilter
    view_right = Right.READ_DIRECTORY
    prefix = "viw"

    def get_queryset(self) -> QuerySet[SavedView]:
        return seen_views(self.request.user)

    @extend_schema(request=ViewIn, responses={201: ViewOut})
    def create(self, request: Request) -> Response:
        """Keep a question to a list under a name; 422 names every parameter that the list does not know."""
        body = validated(ViewIn, request)
        name = body.pop("list")
        view = services.save_view(tenant=tenant_of(request), list_name=name, actor=request.user, **body)
        return Response(self._shown(view), status=status.HTTP_201_CREATED)

    @extend_schema(request=ViewChange, responses=ViewOut)
    def partial_update(self, request: Request, id: str) -> Response:
        """Rename it, ask something else, share it or take it back."""
        view = self.get_object()
        services.change_view(view=view, actor=request.user, **validated(ViewChange, request))
        return Response(self._shown(view))

    @extend_schema(request=ViewDefault, responses=ViewOut)
    @action(detail=True, methods=["post"])
    def default(self, request: Request, id: str) -> Response:
        """Whether the list opens with it for the caller."""
        view = self.get_object()
        services.set_default_view(
            view=view, actor=request.user, on=validated(ViewDefault, request)["default"]
        )
        return Response(self._shown(view))

    @extend_schema(request=ViewEnd, responses=ViewDeleted)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, id: str) -> Response:
        """Delete it, and hear whose lists opened with it."""
        lost = services.delete_view(view=self.get_object(), actor=request.user, **validated(ViewEnd, request))
        return Response(
            ViewDeleted({"default_of": [name for name in lost if name != request.user.username]}).data
        )

    def _shown(self, view: SavedView) -> Any:
        return ViewOut(self.get_queryset().get(pk=view.pk)).data


router = routers.SimpleRouter()
router.register("", ViewViewSet, basename="view")

app_name = "views"
urlpatterns = [*router.urls]
