"""What a visitor is shown when a request was not carried out, and what a caller of the API is told."""

from http import HTTPStatus
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template.loader import render_to_string

from arm import ids, logs

CODES: Final = {
    400: "malformed",
    403: "not_allowed",
    404: "not_found",
    413: "too_large",
    500: "internal",
    503: "unavailable",
}
DETAILS: Final = {
    404: "There is nothing at this address.",
    413: "The body is larger than is taken here.",
    503: "The database is busy; nothing was stored. Ask again.",
}
RETRY_AFTER_S: Final = 2


def error_page(request: HttpRequest, status: int) -> HttpResponseBase:
    """The page of an error; for callers of the API a problem document. 503 says when to come again."""
    asked = getattr(request, "request_id", "") or logs.request_id.get() or ids.encode("req", ids.uuid7())
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}
    if request.path.startswith(("/api/", "/otlp/")):
        body = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "code": CODES[status],
            "detail": DETAILS.get(status, "The request was not carried out."),
            "request_id": asked,
        }
        return JsonResponse(body, status=status, content_type="application/problem+json", headers=headers)
    # After a crash the transaction may be broken: the page is drawn without asking the database anything.
    page = render_to_string(
        f"errors/{status}.html",
        {"request_id": asked, "arm_version": settings.VERSION},
        None if status >= 500 else request,
    )
    return HttpResponse(page, status=status, headers=headers)
