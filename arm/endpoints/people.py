"""`/api/v1/people/…`: members, teams, and the tokens of service accounts."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import routers, serializers, status
from rest_framework.decorators import action
from rest_framework.response import Response

from arm import services
from arm.api import Request, ScopedViewSet, StrictSerializer, TypeIDField, tenant_of, validated
from arm.errors import Invalid, Problem
from arm.models import ApiKey, Membership, Team, User
from arm.queries import account_named
from arm.rights import Right

EXISTING = "existing"


class MemberOut(serializers.Serializer[Any]):
    id = TypeIDField("mem", source="pk")
    username = serializers.CharField(source="user.username")
    name = serializers.CharField(source="user")
    kind = serializers.CharField(source="user.kind")
    active = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class MemberAdded(MemberOut):
    """`one_time_password` is shown this once; empty where no account of a person was opened."""

    one_time_password = serializers.CharField()


class MemberIn(StrictSerializer):
    """`account`: `existing` takes the account of this name; `person` and `service` open a new one."""

    account = serializers.ChoiceField(choices=[EXISTING, *User.Kind.values])
    username = serializers.CharField(max_length=150)
    first_name = serializers.CharField(max_length=150, default="", allow_blank=True)
    last_name = serializers.CharField(max_length=150, default="", allow_blank=True)
    email = serializers.EmailField(default="", allow_blank=True)
    reason = serializers.CharField(max_length=500)


class WithReason(StrictSerializer):
    reason = serializers.CharField(max_length=500)


class TeamOut(serializers.Serializer[Any]):
    id = TypeIDField("tea", source="pk")
    name = serializers.CharField()
    members = serializers.SerializerMethodField()

    def get_members(self, team: Team) -> list[str]:
        return [person.username for person in team.group.user_set.order_by("username")]


class TeamIn(WithReason):
    name = serializers.CharField(max_length=120)
    members = serializers.ListField(child=serializers.CharField(max_length=150), default=list)


class TeamMemberIn(WithReason):
    username = serializers.CharField(max_length=150)


class TokenOut(serializers.Serializer[Any]):
    id = TypeIDField("key", source="pk")
    name = serializers.CharField()
    username = serializers.CharField(source="user.username")
    last4 = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)
    revoked_at = serializers.DateTimeField(allow_null=True)


class TokenIssued(TokenOut):
    """`token` is shown this once and stored nowhere."""

    token = serializers.CharField()


class TokenIn(WithReason):
    name = serializers.CharField(max_length=120)
    days = serializers.IntegerField(min_value=1, max_value=365, default=90)


def known(username: str, pointer: str) -> User:
    """The account of this name; Invalid with the pointer where there is none."""
    user = account_named(username)
    if user is None:
        message = "There is no account of this name."
        raise Invalid(message, [Problem(pointer=pointer, code="unknown", message=message)])
    return user


class MemberViewSet(ScopedViewSet[Membership]):
    """Who works in the tenant."""

    queryset = Membership.objects.select_related("user", "tenant")
    serializer_class = MemberOut
    view_right = Right.MANAGE_TENANT
    prefix = "mem"

    @extend_schema(request=MemberIn, responses={201: MemberAdded})
    def create(self, request: Request) -> Response:
        """Let somebody work here. They may do nothing until a role is bound to them."""
        body = validated(MemberIn, request)
        by = {"tenant": tenant_of(request), "actor": request.user, "reason": body.pop("reason")}
        password, kind = "", body.pop("account")
        if kind == EXISTING:
            member = services.add_member(user=known(body["username"], "/username"), **by)
        else:
            member, password = services.add_new_member(account=services.Account(**body, kind=kind), **by)
        shown = {**MemberOut(member).data, "one_time_password": password}
        return Response(shown, status=status.HTTP_201_CREATED)

    @extend_schema(request=WithReason, responses=MemberOut)
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, id: str) -> Response:
        """End the membership with its bindings, teams and keys."""
        member = self.get_object()
        services.remove_member(member=member, actor=request.user, **validated(WithReason, request))
        return Response(MemberOut(self.get_object()).data)

    @extend_schema(request=TokenIn, responses={201: TokenIssued})
    @action(detail=True, methods=["post"])
    def token(self, request: Request, id: str) -> Response:
        """A token that acts as this service account, shown once."""
        member = self.get_object()
        issued = services.issue_service_token(
            member=member, actor=request.user, **validated(TokenIn, request)
        )
        shown = {**TokenOut(issued.key).data, "token": issued.token}
        return Response(shown, status=status.HTTP_201_CREATED)


class TeamViewSet(ScopedViewSet[Team]):
    """Groups of members that roles are bound to."""

    queryset = Team.objects.select_related("group", "tenant")
    serializer_class = TeamOut
    view_right = Right.MANAGE_TENANT
    prefix = "tea"

    @extend_schema(request=TeamIn, responses={201: TeamOut})
    def create(self, request: Request) -> Response:
        """A new team of these members."""
        body = validated(TeamIn, request)
        body["members"] = [known(name, f"/members/{n}") for n, name in enumerate(body["members"])]
        team = services.create_team(tenant=tenant_of(request), actor=request.user, **body)
        return Response(TeamOut(team).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=TeamMemberIn, responses=TeamOut)
    @action(detail=True, methods=["post"])
    def join(self, request: Request, id: str) -> Response:
        """Take a member into the team; they hold its roles from then on."""
        return self._moved(request, services.join_team)

    @extend_schema(request=TeamMemberIn, responses=TeamOut)
    @action(detail=True, methods=["post"])
    def leave(self, request: Request, id: str) -> Response:
        """Let somebody leave the team; they hold its roles no longer."""
        return self._moved(request, services.leave_team)

    def _moved(self, request: Request, service: Any) -> Response:
        team = self.get_object()
        body = validated(TeamMemberIn, request)
        user = known(body["username"], "/username")
        service(team=team, user=user, actor=request.user, reason=body["reason"])
        return Response(TeamOut(self.get_object()).data)


class TokenViewSet(ScopedViewSet[ApiKey]):
    """Tokens that act as service accounts; the secret itself is shown when it is issued, and never again."""

    queryset = ApiKey.objects.filter(kind=ApiKey.Kind.SERVICE).select_related("user", "tenant")
    serializer_class = TokenOut
    view_right = Right.MANAGE_KEYS
    prefix = "key"

    @extend_schema(request=WithReason, responses=TokenOut)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, id: str) -> Response:
        """End the token at once."""
        key = services.revoke_key(key=self.get_object(), actor=request.user, **validated(WithReason, request))
        return Response(TokenOut(key).data)


router = routers.SimpleRouter()
router.register("members", MemberViewSet, basename="member")
router.register("teams", TeamViewSet, basename="team")
router.register("tokens", TokenViewSet, basename="token")

app_name = "people"
urlpatterns = [*router.urls]
