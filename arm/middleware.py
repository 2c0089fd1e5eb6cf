"""What surrounds every request: its id, its headers, and the wall of the tenant it works in."""

import logging
import re
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.db import OperationalError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponsePermanentRedirect
from django.http.request import split_domain_port
from django.shortcuts import redirect
from django.urls import is_valid_path, reverse

from arm import changes, db, ids, logs
from arm.error_pages import error_page
from arm.models import Tenant

Next = Callable[[HttpRequest], HttpResponse]
log = logging.getLogger("arm.request")

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
CONSOLE_CSP = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
    "img-src 'self' data:"
)
ADMIN_CSP = CONSOLE_CSP + "; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'"
SESSION_TENANT = "tenant"


class RequestId:
    """Takes a well-formed `X-Request-ID` or makes one; puts it into logs, records, pages and the answer."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get("X-Request-ID", "")
        asked = offered if _SAFE_ID.fullmatch(offered) else ids.encode("req", ids.uuid7())
        request.request_id = asked  # type: ignore[attr-defined]
        token = logs.request_id.set(asked)
        try:
            response = self.get_response(request)
        finally:
            logs.request_id.reset(token)
        response["X-Request-ID"] = asked
        return response


class SecurityHeaders:
    """Content-Security-Policy: strict for the console; the admin's Alpine needs eval (ADR 0006)."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = ADMIN_CSP if request.path.startswith("/admin/") else CONSOLE_CSP
        response.setdefault("Content-Security-Policy", policy)
        response.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        if getattr(request, "user", None) is not None and request.user.is_authenticated:
            response.setdefault("Cache-Control", "private, no-store")
        return response


AGENT_CARD = "/.well-known/agent-card.json"


def agent_host(request: HttpRequest) -> str:
    """The name of the host that was asked, without its port."""
    return split_domain_port(request.get_host())[0]


class AgentHosts:
    """Under the name of an agent (`ARM_AGENT_HOSTS`) its card is served and nothing else: no console, no sign-in."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.AGENT_HOSTS and request.path_info != AGENT_CARD:
            try:
                hidden = agent_host(request) in settings.AGENT_HOSTS
            except DisallowedHost:
                hidden = False  # refused further in, with its page
            if hidden:
                return HttpResponse("Not found.\n", status=404, content_type="text/plain; charset=utf-8")
        return self.get_response(request)


class BothSlashForms:
    """An endpoint answers with and without the slash at its end: a client that is sent elsewhere loses its body.

    A page is only read, so a browser is sent to the form with the slash.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        if path.endswith("/") or is_valid_path(path):
            return self.get_response(request)
        if path.startswith("/api/"):
            request.path_info, request.path = f"{path}/", f"{request.path}/"
        elif request.method in ("GET", "HEAD") and is_valid_path(f"{path}/"):
            query = request.META.get("QUERY_STRING", "")
            return HttpResponsePermanentRedirect(f"{request.path}/{'?' * bool(query)}{query}")
        return self.get_response(request)


class TenantWall:
    """The whole request is one transaction that sees one tenant: the visitor's current one, or none."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.tenant = None  # type: ignore[attr-defined]
        token = changes.credential.set("")
        try:
            return self._inside(request)
        except OperationalError as problem:
            request.user = AnonymousUser()  # nobody asks the database again who this is
            return self.busy(request, problem)
        finally:
            changes.credential.reset(token)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """A page that waited too long, or lost its connection: whatever it had done is undone."""
        if not isinstance(exception, OperationalError):
            return None
        transaction.set_rollback(True)
        return self.busy(request, exception)

    def busy(self, request: HttpRequest, problem: OperationalError) -> HttpResponseBase:
        log.warning("the database is busy", extra={"path": request.path, "problem": str(problem).strip()})
        return error_page(request, 503)

    def _inside(self, request: HttpRequest) -> HttpResponseBase:
        with db.tenants((), limits={**settings.REQUEST_LIMITS, db.PLATFORM: ""}):
            if request.user.is_authenticated:
                changes.credential.set("session")
                wanted = request.session.get(SESSION_TENANT, "")
                mine, current = db.enter(request.user.pk, wanted, platform=request.user.is_superuser)
                request.tenants = mine  # type: ignore[attr-defined]
                request.tenant = Tenant.objects.filter(pk__in=[current]).first() if current else None  # type: ignore[attr-defined]
                if request.user.must_change_password and not _may_wait(request):
                    return redirect("password_change")
            response = self.get_response(request)
            if response.status_code >= 500:
                transaction.set_rollback(True)
            return response


def _may_wait(request: HttpRequest) -> bool:
    open_paths = (reverse("password_change"), reverse("logout"), "/static/")
    return request.path.startswith(open_paths)
