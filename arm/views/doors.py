"""Ways in, signs of life, and the pages of errors."""

from typing import Any

from django.conf import settings
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.generic import View
from django_q.models import OrmQ

from arm import grants
from arm.error_pages import error_page
from arm.forms import SignInForm
from arm.logs import address_of
from arm.middleware import SESSION_TENANT
from arm.models import SecurityEvent, User
from arm.queries import sign_in_name
from arm.services import note_security


class ChooseTenant(View):
    """Switch the session to another tenant of mine. Who comes by address has the switch in the header of any page."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return redirect("home")

    def post(self, request: HttpRequest) -> HttpResponse:
        wanted = request.POST.get("tenant", "")
        if wanted not in {str(id) for id in getattr(request, "tenants", ())}:
            raise Http404
        request.session[SESSION_TENANT] = wanted
        return redirect("home")


@method_decorator(login_not_required, name="dispatch")
@method_decorator(never_cache, name="dispatch")
class SignIn(auth_views.LoginView):
    """Sign in; after too many failures with one name from one address, that pair waits."""

    form_class = SignInForm
    template_name = "registration/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        note_security(
            SecurityEvent.Kind.SIGNED_IN,
            form.get_user().username,
            user=form.get_user(),
            address=address_of(self.request),
        )
        return answer

    def form_invalid(self, form: Any) -> HttpResponse:
        kind = SecurityEvent.Kind.SIGN_IN_LOCKED if form.locked else SecurityEvent.Kind.SIGN_IN_FAILED
        if not form.crowded:  # nobody has looked at the password
            note_security(kind, sign_in_name(form.data.get("username", "")), address=address_of(self.request))
        answer = super().form_invalid(form)
        if form.crowded:
            answer.status_code, answer["Retry-After"] = 429, "2"
        return answer


class ChangePassword(auth_views.PasswordChangeView):
    """Also where a one-time password leads: everything else waits until it is changed."""

    template_name = "registration/password_change_form.html"

    def get_success_url(self) -> str:
        target = self.request.GET.get("next", "")
        return target if url_has_allowed_host_and_scheme(target, allowed_hosts=None) else "/"

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        User.objects.filter(pk=form.user.pk).update(must_change_password=False)
        note_security(
            SecurityEvent.Kind.PASSWORD_CHANGED,
            form.user.username,
            user=form.user,
            address=address_of(self.request),
        )
        return answer


@login_not_required
def health(request: HttpRequest) -> HttpResponse:
    """Live: the process answers."""
    return JsonResponse({"status": "live"})


@login_not_required
def ready(request: HttpRequest) -> HttpResponse:
    """Ready: the database answers, its schema is this code's, rights can be asked, a worker was seen lately. 503 names what is not."""
    facts: dict[str, str] = {}
    try:
        executor = MigrationExecutor(connection)
        facts["database"] = "ok"
        behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
        facts["migrations"] = f"{len(behind)} to apply" if behind else "ok"
        facts["rights"] = "ok" if grants.prepared() else "nobody has any: run manage.py prepare"
        facts["worker"] = _worker_state()
    except DatabaseError:
        facts["database"] = "does not answer"
    good = all(value == "ok" for value in facts.values()) and len(facts) == 4
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


def handler400(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return error_page(request, 413 if isinstance(exception, RequestDataTooBig) else 400)


def handler403(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return error_page(request, 403)


def handler404(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    return error_page(request, 404)


def handler500(request: HttpRequest) -> HttpResponseBase:
    return error_page(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    return error_page(request, 403)
