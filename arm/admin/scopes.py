"""The object-permission page of a scope: who holds which role on it, given and ended through the services.

It stands where guardian's page stands (`<id>/permissions/`) and shows guardian's rows, but never writes them itself:
a right is given as a role, with a reason, an expiry and a change record, and never beyond what the giver may give.
"""

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from arm import services
from arm.admin.base import ScopedAdmin
from arm.admin.commands import sentence
from arm.conflicts import whole
from arm.errors import DomainError
from arm.forms import BindForm
from arm.grants import grant_models, scope_of
from arm.models import RoleBinding
from arm.permissions import allowed
from arm.rights import Right


class ScopeAdmin(ScopedAdmin):
    """For models that a role can be bound on (tenant, environment, template, provider)."""

    change_form_template = "admin/scope_change_form.html"

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_permissions"
        view = self.admin_site.admin_view(self.permissions_view)
        return [path("<path:object_id>/permissions/", view, name=name), *super().get_urls()]

    def permissions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET shows the bindings and the single rights behind them; POST binds a role or ends a binding."""
        scope = self.get_object(request, object_id)
        if scope is None or not self._may_see_people(request, scope):
            raise Http404
        tenant = request.tenant  # type: ignore[attr-defined]
        may_bind = allowed(request.user, Right.BIND_ROLE, tenant)
        form = BindForm(
            request.POST if request.method == "POST" and "bind" in request.POST else None, tenant=tenant
        )
        if request.method == "POST":
            if not may_bind:
                raise Http404
            answer = self._carry_out(request, scope, form)
            if answer is not None:
                return answer
        context = {
            **self.admin_site.each_context(request),
            "title": f"Who may do what on {scope}",
            "object": scope,
            "opts": self.opts,
            "form": form,
            "may_bind": may_bind,
            "bindings": self._bindings(scope),
            "grants": self._grants(scope),
        }
        return TemplateResponse(request, "admin/object_permissions.html", context)

    def _may_see_people(self, request: HttpRequest, scope: Model) -> bool:
        return allowed(request.user, Right.READ_AUDIT, scope) or allowed(
            request.user, Right.MANAGE_TENANT, scope
        )

    def _bindings(self, scope: Model) -> list[RoleBinding]:
        on_this = RoleBinding.objects.filter(
            scope_kind=scope._meta.label_lower, scope_id=scope.pk, ended_at=None
        )
        return list(on_this.select_related("user", "group").order_by("role"))

    def _grants(self, scope: Model) -> dict[str, list[str]]:
        held: dict[str, list[str]] = {}
        for model in grant_models():
            if scope_of(model) is not type(scope):
                continue
            who = "user__username" if hasattr(model, "user") else "group__name"
            rows = model._default_manager.filter(content_object=scope)
            for name, right in rows.values_list(who, "permission__codename").distinct().order_by(who):
                held.setdefault(name, []).append(right)
        return held

    def _carry_out(self, request: HttpRequest, scope: Model, form: forms.Form) -> HttpResponse | None:
        here = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_permissions", args=[scope.pk])
        try:
            with whole():
                if "end" in request.POST:
                    self._end(request, scope)
                    messages.success(request, "The binding has ended.")
                    return redirect(here)
                if not form.is_valid():
                    return None
                services.bind(scope=scope, actor=request.user, **form.cleaned_data)  # type: ignore[arg-type]
        except DomainError as refusal:
            form.is_bound and form.add_error(None, sentence(refusal))
            messages.error(request, sentence(refusal))
            return None
        messages.success(request, "The role is bound.")
        return redirect(here)

    def _end(self, request: HttpRequest, scope: Model) -> None:
        known: dict[str, Any] = {str(binding.pk): binding for binding in self._bindings(scope)}
        binding = known.get(request.POST["end"])
        if binding is None:
            raise Http404
        reason = request.POST.get("reason", "").strip() or "Ended on the object's permission page"
        services.unbind(binding=binding, actor=request.user, reason=reason)  # type: ignore[arg-type]
