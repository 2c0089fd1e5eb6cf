"""People and roles: who works in the tenant, in which teams, with which roles; machines and their tokens."""

from typing import Any

from django.db.models import QuerySet
from django.forms import Form
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.views.generic import ListView

from arm import services
from arm.errors import Invalid, Problem
from arm.forms import AddMemberForm, BindForm, ReasonForm, TeamForm, TeamMemberForm, TokenForm
from arm.models import ApiKey, Membership, RoleBinding, Team, Tenant, User
from arm.permissions import allowed
from arm.ports import implementations
from arm.queries import account_named, team_members, what_ends
from arm.rights import Right
from arm.views.base import CommandView, CreateView, Scoped, ShownOnce, current_tenant


class MemberList(Scoped, ListView[Membership]):
    """Who works here, with which roles on which scopes, by themselves and by their teams."""

    queryset = Membership.objects.select_related("user").order_by("-active", "user__username")
    view_right = Right.MANAGE_TENANT
    template_name = "arm/member_list.html"
    paginate_by = 50

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        users = [member.user_id for member in context["object_list"]]
        bindings = RoleBinding.objects.filter(ended_at=None).order_by("role", "pk")
        by_user = _grouped(bindings.filter(user__in=users), "user_id")
        by_group = _grouped(bindings.exclude(group=None), "group_id")
        live = [
            key for key in ApiKey.objects.filter(user__in=users, revoked_at=None).order_by("pk") if key.live
        ]
        tokens = _grouped([key for key in live if key.kind == ApiKey.Kind.SERVICE], "user_id")
        context["rows"] = [
            (m, by_user.get(m.user_id, []), tokens.get(m.user_id, [])) for m in context["object_list"]
        ]
        tenant = current_tenant(self.request)
        visitor = self.request.user
        context["may_manage"] = allowed(visitor, Right.MANAGE_TENANT, tenant)
        context["may_bind"] = allowed(visitor, Right.BIND_ROLE, tenant)
        context["may_issue"] = allowed(visitor, Right.MANAGE_KEYS, tenant)
        context["teams"] = [
            (team, list(team.group.user_set.order_by("username")), by_group.get(team.group_id, []))
            for team in Team.objects.select_related("group").order_by("name")
            if context["may_manage"]
        ]
        return context


def _grouped(rows: Any, by: str) -> dict[Any, list[Any]]:
    found: dict[Any, list[Any]] = {}
    for row in rows:
        found.setdefault(getattr(row, by), []).append(row)
    return found


class PeopleCommand(CommandView):
    """A form of this section: afterwards back to the list."""

    template_name = "arm/people_command.html"
    heading = ""
    explanation = ""
    submit = "Save"
    tone = "primary"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        said = {"heading": self.heading, "explanation": self.explanation}
        return super().get_context_data(**{**said, "submit": self.submit, "tone": self.tone, **kwargs})

    def get_success_url(self) -> str:
        return reverse("member_list")


class OnTenant(CreateView):
    """A command that whoever does not hold `view_right` on the tenant does not find."""

    object: Tenant

    def get_object(self, queryset: QuerySet[Any] | None = None) -> Tenant:
        tenant = current_tenant(self.request)
        if not allowed(self.request.user, self.view_right, tenant):
            raise Http404
        return tenant


class AddMember(PeopleCommand, OnTenant):
    """Somebody works here from now on. A new person's one-time password is the answer to the form."""

    view_right = Right.MANAGE_TENANT
    form_class = AddMemberForm
    heading = submit = "Add a person"
    explanation = "They may do nothing until a role is bound to them or to a team of theirs."
    success_message = "Added. Bind a role next."

    def run(self, actor: User, cleaned: dict[str, Any]) -> tuple[Membership, str]:
        reason = cleaned["reason"]
        if cleaned["account"] == AddMemberForm.EXISTING:
            user = account_named(cleaned["username"])
            if user is None:
                message = "There is no account of this name."
                raise Invalid(message, [Problem(pointer="/username", code="unknown", message=message)])
            return services.add_member(tenant=self.object, user=user, actor=actor, reason=reason), ""
        facts = {name: cleaned[name] for name in ("username", "first_name", "last_name", "email")}
        account = services.Account(**facts, kind=cleaned["account"])
        return services.add_new_member(tenant=self.object, account=account, actor=actor, reason=reason)

    def form_valid(self, form: Form) -> HttpResponse:
        answer = super().form_valid(form)
        member, password = getattr(self, "result", (None, ""))
        if not password:
            return answer
        self.template_name = "arm/member_added.html"
        return self.render_to_response(
            self.get_context_data(
                form=form, member=member, password=password, back_url=reverse("member_list")
            )
        )


class RemoveMember(PeopleCommand):
    """End a membership; the page names what ends with it."""

    queryset = Membership.objects.filter(active=True).select_related("user", "tenant")
    view_right = Right.MANAGE_TENANT
    form_class = ReasonForm
    template_name = "arm/member_remove.html"
    submit, tone = "Remove", "danger"
    success_message = "Removed; they work here no longer."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        heading = f"Remove {self.object.user}"
        effects = implementations("MEMBER_EFFECTS")
        more = [line for effect in effects for line in effect.ends(self.object)]
        return super().get_context_data(heading=heading, ends=what_ends(self.object), more=more, **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> None:
        services.remove_member(member=self.object, actor=actor, reason=cleaned["reason"])


class BindRole(PeopleCommand, OnTenant):
    """Give somebody a role on the whole tenant; narrower scopes have their own permission page in the admin."""

    view_right = Right.BIND_ROLE
    form_class = BindForm
    heading = submit = "Bind a role"
    explanation = "On the whole tenant. Narrower: the object's permission page in the admin."
    success_message = "The role is bound."

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "tenant": self.object}

    def run(self, actor: User, cleaned: dict[str, Any]) -> RoleBinding:
        return services.bind(scope=self.object, actor=actor, **cleaned)


class UnbindRole(PeopleCommand):
    """End a binding; its rights are gone at once."""

    queryset = RoleBinding.objects.filter(ended_at=None).select_related("user", "group", "tenant")
    view_right = Right.BIND_ROLE
    form_class = ReasonForm
    heading = submit = "End a binding"
    tone = "danger"
    success_message = "The binding has ended."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(explanation=str(self.object), **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> None:
        services.unbind(binding=self.object, actor=actor, reason=cleaned["reason"])


class CreateTeam(PeopleCommand, OnTenant):
    view_right = Right.MANAGE_TENANT
    form_class = TeamForm
    heading = submit = "Create a team"
    explanation = "A role that is bound to a team is held by everybody in it."
    success_message = "Created. Let people join next."

    def run(self, actor: User, cleaned: dict[str, Any]) -> Team:
        return services.create_team(tenant=self.object, members=[], actor=actor, **cleaned)


class JoinTeam(PeopleCommand):
    queryset = Team.objects.select_related("group", "tenant")
    view_right = Right.MANAGE_TENANT
    form_class = TeamMemberForm
    submit = "Add to the team"
    explanation = "They hold the roles of the team from then on."
    success_message = "Joined."

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "people": team_members(self.object, inside=False)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(heading=f"Add somebody to {self.object}", **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Team:
        return services.join_team(
            team=self.object, user=cleaned["person"], actor=actor, reason=cleaned["reason"]
        )


class LeaveTeam(PeopleCommand):
    queryset = Team.objects.select_related("group", "tenant")
    view_right = Right.MANAGE_TENANT
    form_class = TeamMemberForm
    submit, tone = "Take out of the team", "danger"
    explanation = "They hold the roles of the team no longer."
    success_message = "Left."

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "people": team_members(self.object, inside=True)}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(heading=f"Take somebody out of {self.object}", **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> Team:
        return services.leave_team(
            team=self.object, user=cleaned["person"], actor=actor, reason=cleaned["reason"]
        )


class IssueToken(PeopleCommand, ShownOnce):
    """A token that acts as a service account; shown once."""

    queryset = Membership.objects.filter(active=True, user__kind=User.Kind.SERVICE).select_related(
        "user", "tenant"
    )
    view_right = Right.MANAGE_KEYS
    form_class = TokenForm
    shown_template, back_name = "arm/token_issued.html", "member_list"
    submit = "Issue the token"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(heading=f"A token for {self.object.user}", **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> services.Issued:
        return services.issue_service_token(member=self.object, actor=actor, **cleaned)


class RevokeToken(PeopleCommand):
    queryset = ApiKey.objects.filter(kind=ApiKey.Kind.SERVICE, revoked_at=None).select_related(
        "user", "tenant"
    )
    view_right = Right.MANAGE_KEYS
    form_class = ReasonForm
    submit, tone = "Revoke the token", "danger"
    explanation = "Whoever uses it is refused from now on."
    success_message = "Revoked."

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(heading=f"Revoke {self.object}", **kwargs)

    def run(self, actor: User, cleaned: dict[str, Any]) -> ApiKey:
        return services.revoke_key(key=self.object, actor=actor, reason=cleaned["reason"])
