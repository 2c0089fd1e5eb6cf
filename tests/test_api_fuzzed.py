"""Whatever the document of the API allows, and what it does not, is answered as the document says: schemathesis asks.

Each operation is asked with data that fits the document and with data that does not, for the objects that are
there and for none. Seeds are fixed, so a run can be repeated.
"""

import os
import re
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.urls import resolve
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, seed, settings

from arm.ids import uuid7
from arm.models import ApiKey
from tests import make

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode, openapi
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks as of_openapi

pytestmark = [pytest.mark.django_db, pytest.mark.unwatched]
ELSEWHERE = ("/api/v1/policy/decide", "/federation/")
"""Answered in lanes in front of Django; they have tests of their own."""
EXAMPLES = int(os.environ.get("ARM_FUZZ", "3"))
"""Of each operation, once with data that fits and once with data that does not."""
ONLY = os.environ.get("ARM_FUZZ_PATHS", "")
SEED = int(os.environ.get("ARM_FUZZ_SEED", "20261128"))
SECONDS = float(os.environ.get("ARM_FUZZ_SECONDS", "inf"))
"""After so long the operations that are left are not asked, and the run says how many they are."""
CHECKS = [
    not_a_server_error,
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_schema_conformance,
    of_openapi.response_headers_conformance,
]
MORE = {
    "negative": of_openapi.negative_data_rejection,
    "positive": of_openapi.positive_data_acceptance,
    "unsupported": of_openapi.unsupported_method,
    "required": of_openapi.missing_required_header,
    "unsigned": of_openapi.ignored_auth,
}
CHECKS += [MORE[name] for name in os.environ.get("ARM_FUZZ_CHECKS", "").split(",") if name]


def document() -> dict[str, Any]:
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


API = openapi.from_dict(document())
API.app = get_wsgi_application()
OPERATIONS: dict[str, list[Any]] = {}
for _operation in (found.ok() for found in API.get_all_operations()):
    if not _operation.path.startswith(ELSEWHERE) and ONLY in _operation.path:
        OPERATIONS.setdefault(_operation.path.split("/")[3], []).append(_operation)


@pytest.fixture(autouse=True)
def _one_connection() -> Iterator[None]:
    """As Django's own client does: a request's end does not end the transaction of the test."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def of_a_row(operation: Any, rows: dict[str, Any]) -> dict[str, str] | None:
    """The identifier of a row that the operation's address could name, or None."""
    if set(re.findall(r"{(\w+)}", operation.path)) != {"id"}:
        return None
    view = resolve(operation.path.replace("{id}", str(uuid7()))).func.cls
    row = rows.get(view.prefix)
    return {"id": row.typeid} if row is not None else None


def ask(operation: Any, mode: GenerationMode, token: str, there: dict[str, str] | None) -> None:
    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode, path_parameters=there))
    def asked(case: schemathesis.Case) -> None:
        with transaction.atomic():
            answer = case.call(headers={"Authorization": f"Bearer {token}"})
            transaction.set_rollback(True)
        ASKED[operation.label] += 1
        case.validate_response(answer, checks=CHECKS)

    asked()


ASKED: Counter[str] = Counter()


@pytest.mark.parametrize("app", sorted(OPERATIONS))
def test_every_operation_answers_as_its_document_says(app: str) -> None:
    acme = make.tenant("acme")
    robot = make.everything(make.user("robot", member_of=acme), acme)
    rows = make.one_of_each(acme)
    token = make.key(ApiKey.Kind.SERVICE, tenant=acme, user=robot)[1]
    ASKED.clear()
    wrong, until, left = [], time.monotonic() + SECONDS, []
    for operation in OPERATIONS[app]:
        if time.monotonic() > until:
            left.append(operation.label)
            continue
        for mode in GenerationMode:
            try:
                ask(operation, mode, token, of_a_row(operation, rows))
            except (Exception, BaseExceptionGroup) as problem:  # noqa: BLE001 - all of them are told, not the first
                wrong.append(f"{operation.label} ({mode.value}): {explained(problem)}")
    assert not wrong, "\n\n".join(wrong)
    assert set(ASKED) | set(left) == {operation.label for operation in OPERATIONS[app]}
    if left:
        pytest.skip(f"No time was left for {len(left)} operations: {', '.join(left)}")


def explained(problem: BaseException) -> str:
    """Schemathesis groups its failures in one another."""
    inner = getattr(problem, "exceptions", ())
    return "\n".join(map(explained, inner)) if inner else f"{type(problem).__name__}: {problem}"
