"""What must hold before a server starts: ports that import, a queue that cannot double-run, a walled role."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connection
from django.utils.module_loading import import_string

PORT_LISTS = [
    "PROMOTION_GATES",
    "ACTIVATION_GATES",
    "RETIREMENT_GATES",
    "DRAINED_GATES",
    "WORK_IN_FLIGHT",
    "BINDING_GATES",
    "SPAWN_RULES",
    "TENANT_DEFAULTS",
    "HOME_PANELS",
    "SEARCH",
    "TEMPLATE_PANELS",
    "PROJECT_PANELS",
    "VERSION_PANELS",
    "INSTANCE_PANELS",
    "NAVIGATION",
    "DEMO_GOVERNANCE",
    "DEMO_ACTIVITY",
    "DEMO_AFTERMATH",
    "PREPARE",
    "WITNESSES",
]


@register()
def ports_import(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Every dotted path that settings name exists: a port that fails to load must not fail open."""
    return [
        Error(f"{setting} names {path}, which does not import: {problem}", id="arm.E001")
        for setting, path in _named()
        if (problem := _problem(path))
    ]


def _named() -> Iterator[tuple[str, str]]:
    for setting in PORT_LISTS:
        yield from ((setting, path) for path in getattr(settings, setting))
    for setting in ("INCIDENTS", "APPROVALS", "LEDGER", "LIMITS"):
        yield from ((setting, path) for path in [getattr(settings, setting, "")] if path)
    yield from (("POLICY_FACTS", path) for path in settings.POLICY_FACTS.values())
    yield from (("LANES", path) for path in settings.LANES.values())
    yield from (("SCHEDULES", path) for _, path, _ in settings.SCHEDULES)
    for event, paths in settings.SUBSCRIBERS.items():
        yield from ((f"SUBSCRIBERS[{event!r}]", path) for path in paths)


def _problem(path: str) -> str:
    try:
        import_string(path)
    except ImportError as problem:
        return str(problem)
    return ""


@register()
def queue_is_safe(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    queue: dict[str, Any] = settings.Q_CLUSTER
    found: list[CheckMessage] = []
    if queue.get("orm") != "default":
        found.append(Error("Q_CLUSTER['orm'] must be 'default': the queue is the outbox.", id="arm.E002"))
    if queue.get("retry", 0) <= queue.get("timeout", 0):
        found.append(Error("Q_CLUSTER['retry'] must exceed its timeout.", id="arm.E003"))
    if not queue.get("max_attempts"):
        found.append(Error("Q_CLUSTER['max_attempts'] must be set.", id="arm.E004"))
    return found


@register(Tags.security, deploy=True)
def gates_exist(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A production without gates would let every version through."""
    if settings.PROMOTION_GATES:
        return []
    return [Error("PROMOTION_GATES is empty: every promotion would pass.", id="arm.E005")]


@register(Tags.database)
def role_is_walled(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The application's role may neither be a superuser nor pass row-level security."""
    if not databases or "default" not in databases:
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
        row = cursor.fetchone()
    if row and row[0]:
        return [
            Error("The application logs in as a role that row-level security does not bind.", id="arm.E006")
        ]
    return []
