"""What every page shares (scoped lists, commands) and the core's own pages."""

import csv
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import django_filters
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.generic import DetailView, FormView, ListView, TemplateView, View
from django.views.generic.detail import SingleObjectMixin
from django_q.models import OrmQ

from arm import clock, ids, logs
from arm.errors import DomainError
from arm.forms import SignInForm
from arm.middleware import SESSION_TENANT
from arm.models import ChangeRecord, Membership, RoleBinding, SecurityEvent, Tenant, User
from arm.panels import panels
from arm.permissions import visible
from arm.rights import Right
from arm.services import note_security


class Scoped:
    """For list and detail views: the queryset holds only what the visitor may view; detail URLs take TypeIDs."""

    view_right: Right
    request: HttpRequest

    def get_queryset(self) -> QuerySet[Any]:
        return visible(super().get_queryset(), self.request.user, self.view_right)  # type: ignore[misc]


class FilteredList(Scoped, ListView[Any]):
    """A table: one FilterSet for page and CSV, 50 rows a page, `?format=csv` gives exactly what is shown.

    `columns` names the CSV's columns: (heading, attribute path or callable).
    """

    filterset_class: type[django_filters.FilterSet] | None = None
    paginate_by = 50
    columns: ClassVar[Sequence[tuple[str, str | Callable[[Any], Any]]]] = ()
    csv_limit = 100_000

    def get_queryset(self) -> QuerySet[Any]:
        queryset = super().get_queryset()
        self.filterset = None
        if self.filterset_class is not None:
            self.filterset = self.filterset_class(self.request.GET, queryset=queryset, request=self.request)
            queryset = self.filterset.qs if self.filterset.is_valid() else queryset.none()
        return queryset

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.GET.get("format") == "csv" and self.columns:
            return csv_response(
                self.get_queryset()[: self.csv_limit], self.columns, type(self).__name__.lower()
            )
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET.copy()
        query.pop("page", None)
        return super().get_context_data(
            filter=self.filterset, query=query.urlencode(), has_csv=bool(self.columns), **kwargs
        )


def csv_response(
    rows: Iterable[Any], columns: Sequence[tuple[str, str | Callable[[Any], Any]]], name: str
) -> HttpResponse:
    """Rows as CSV; a cell that a spreadsheet would run as a formula is written with a leading apostrophe."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}-{clock.now():%Y%m%d-%H%M}.csv"'
    writer = csv.writer(response)
    writer.writerow([heading for heading, _ in columns])
    for row in rows:
        writer.writerow([_cell(_value(row, source)) for _, source in columns])
    return response


def _value(row: Any, source: str | Callable[[Any], Any]) -> Any:
    if callable(source):
        return source(row)
    for part in source.split("."):
        row = getattr(row, part, None)
    return row() if callable(row) else row


def _cell(value: Any) -> str:
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return "'" + text if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


class CommandView(Scoped, SingleObjectMixin[Any], FormView[Form]):
    """One form, one service call. A refusal comes back as a form error; the object is loaded before the body."""

    success_message = "Saved."

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if request.user.is_authenticated:
            self.object = self.get_object()

    def run(self, actor: User, cleaned: dict[str, Any]) -> Any:
        """The one service call; its return value is at hand in `get_success_url` as `self.result`."""
        raise NotImplementedError

    def get_success_url(self) -> str:
        url: str = self.object.get_absolute_url()
        return url

    def form_valid(self, form: Form) -> HttpResponse:
        if not isinstance(self.request.user, User):
            raise Http404
        try:
            with transaction.atomic():
                self.result = self.run(self.request.user, form.cleaned_data)
        except DomainError as refusal:
            return self.refused(form, refusal)
        messages.success(self.request, self.success_message)
        return redirect(self.get_success_url())

    def refused(self, form: Form, refusal: DomainError) -> HttpResponse:
        form.add_error(None, refusal.message)
        for problem in refusal.extra.get("errors", ()):  # type: ignore[attr-defined]
            form.add_error(None, f"{problem['pointer'] or '/'}: {problem['message']}")
        response = self.render_to_response(self.get_context_data(form=form, refusal=refusal))
        response.status_code = refusal.status
        return response


class CreateView(CommandView):
    """A command on the tenant itself: what it makes has no object yet."""

    def get_object(self, queryset: QuerySet[Any] | None = None) -> Model:
        if self.request.tenant is None:  # type: ignore[attr-defined]
            raise Http404
        return self.request.tenant  # type: ignore[attr-defined,no-any-return]

    def get_success_url(self) -> str:
        url: str = self.result.get_absolute_url()
        return url


class Home(TemplateView):
    """The fleet page: panels of every app, refreshed by themselves."""

    template_name = "arm/home.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = panels("HOME_PANELS", self.request, self.request.tenant) if self.request.tenant else []  # type: ignore[attr-defined]
        return super().get_context_data(panels=found, at=clock.now(), **kwargs)

    def get_template_names(self) -> list[str]:
        partial = getattr(self.request, "htmx", False) and not self.request.htmx.boosted  # type: ignore[attr-defined]
        return ["arm/_home_panels.html" if partial else self.template_name]


class ChangeList(FilteredList):
    """The governance stream of the tenant, newest first."""

    queryset = ChangeRecord.objects.all()
    view_right = Right.READ_AUDIT
    template_name = "arm/change_list.html"
    columns = (
        ("at", "at"),
        ("actor", "actor_label"),
        ("verb", "verb"),
        ("target", "target_label"),
        ("reason", "reason"),
        ("request", "request_id"),
        ("digest", "digest"),
    )

    def get_queryset(self) -> QuerySet[Any]:
        queryset = super().get_queryset()
        asked = self.request.GET
        if verb := asked.get("verb"):
            queryset = queryset.filter(verb=verb)
        if actor := asked.get("actor"):
            queryset = queryset.filter(actor_label__icontains=actor)
        if target := asked.get("target"):
            queryset = queryset.filter(target_label__icontains=target)
        return queryset


class ChangeDetail(Scoped, DetailView[ChangeRecord]):
    queryset = ChangeRecord.objects.all()
    view_right = Right.READ_AUDIT
    template_name = "arm/change_detail.html"


class MemberList(Scoped, ListView[Membership]):
    """Who works here, with which roles on which scopes."""

    queryset = Membership.objects.select_related("user").order_by("user__username")
    view_right = Right.MANAGE_TENANT
    template_name = "arm/member_list.html"
    paginate_by = 50

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        users = [member.user_id for member in context["object_list"]]
        by_user: dict[Any, list[RoleBinding]] = {}
        for binding in RoleBinding.objects.filter(user__in=users, ended_at=None).order_by("role"):
            by_user.setdefault(binding.user_id, []).append(binding)
        context["rows"] = [(m, by_user.get(m.user_id, [])) for m in context["object_list"]]
        return context


class ChooseTenant(View):
    """Switch the session to another tenant of mine."""

    def post(self, request: HttpRequest) -> HttpResponse:
        wanted = request.POST.get("tenant", "")
        if wanted not in {str(id) for id in getattr(request, "tenants", ())}:
            raise Http404
        request.session[SESSION_TENANT] = wanted
        return redirect("home")


@method_decorator(login_not_required, name="dispatch")
@method_decorator(never_cache, name="dispatch")
class SignIn(auth_views.LoginView):
    """Sign in; after too many failures with one name, that name waits."""

    form_class = SignInForm
    template_name = "registration/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        note_security(SecurityEvent.Kind.SIGNED_IN, self.request.user.username, user=form.get_user())
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        kind = SecurityEvent.Kind.SIGN_IN_LOCKED if form.locked else SecurityEvent.Kind.SIGN_IN_FAILED
        note_security(kind, form.data.get("username", ""))
        return super().form_invalid(form)


class ChangePassword(auth_views.PasswordChangeView):
    """Also where a one-time password leads: everything else waits until it is changed."""

    template_name = "registration/password_change_form.html"

    def get_success_url(self) -> str:
        target = self.request.GET.get("next", "")
        return target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else "/"

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        User.objects.filter(pk=form.user.pk).update(must_change_password=False)
        note_security(SecurityEvent.Kind.PASSWORD_CHANGED, form.user.username, user=form.user)
        return answer


@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """Live: the process answers."""
    return JsonResponse({"status": "live"})


@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """Ready: the database answers, its schema is this code's, a worker was seen lately. 503 names what is not."""
    facts: dict[str, str] = {}
    try:
        executor = MigrationExecutor(connection)
        facts["database"] = "ok"
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
        facts["migrations"] = f"{len(behind)} to apply" if behind else "ok"
        facts["worker"] = _worker_state()
    except DatabaseError:
        facts["database"] = "does not answer"
    good = all(value == "ok" for value in facts.values()) and len(facts) == 3
    return JsonResponse({"status": "ready" if good else "not ready", **facts}, status=200 if good else 503)


def _worker_state() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT extract(epoch FROM now() - beat_at) FROM arm_processbeat WHERE name = 'worker'"
        )
        row = cursor.fetchone()
    waiting = OrmQ.objects.count()
    if row is None:
        return "never seen"
    return (
        "ok" if row[0] < settings.WORKER_SILENCE_SECONDS else f"silent for {row[0]:.0f} s, {waiting} waiting"
    )


class Gallery(TemplateView):
    """Every component in every state: what a page may be built from."""

    template_name = "arm/gallery.html"


def error_page(request: HttpRequest, status: int) -> HttpResponseBase:
    """The page of an error; for callers of the API a problem document."""
    asked = getattr(request, "request_id", "") or logs.request_id.get() or ids.encode("req", ids.uuid7())
    if request.path.startswith(("/api/", "/otlp/")):
        titles = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}
        codes = {400: "malformed", 403: "not_allowed", 404: "not_found", 500: "internal"}
        body = {
            "type": "about:blank",
            "title": titles[status],
            "status": status,
            "code": codes[status],
            "detail": {404: "There is nothing at this address."}.get(
                status, "The request was not carried out."
            ),
            "request_id": asked,
        }
        return JsonResponse(body, status=status, content_type="application/problem+json")
    # After a crash the transaction may be broken: the page is drawn without asking the database anything.
    page = render_to_string(
        f"errors/{status}.html",
        {"request_id": asked, "arm_version": settings.VERSION},
        None if status >= 500 else request,
    )
    return HttpResponse(page, status=status)


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return error_page(request, 400)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return error_page(request, 403)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return error_page(request, 404)


def handler500(request: HttpRequest) -> HttpResponseBase:
    return error_page(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    return error_page(request, 403)


def current_tenant(request: HttpRequest) -> Tenant:
    """The tenant this page works in; 404 for somebody who is a member of none."""
    tenant: Tenant | None = getattr(request, "tenant", None)
    if tenant is None:
        raise Http404
    return tenant
