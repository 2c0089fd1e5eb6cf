"""What the OpenAPI document says of the decision is what is asked and answered."""

from typing import Any

import pytest
from django.test import Client
from jsonschema import Draft202012Validator

from policy.gateway import lane
from registry.models import AgentInstance
from tests import make
from tests.policy.asking import Answer, send

pytestmark = pytest.mark.usefixtures("committed")
PATH = "/api/v1/policy/decide"
ASKED = {"tool": "search", "args": {"q": "x"}, "job": "job-1", "outcome": "answer"}


@pytest.fixture
def instance() -> AgentInstance:
    tenant = make.tenant()
    instance = make.instance(
        environment=make.environment(tenant=tenant),
        version=make.approved(template=make.template(tenant=tenant)),
    )
    make.bound(
        tenant,
        tools=[
            {"match": {"tool": "*"}, "effect": "allow"},
            {"match": {"tool": "wire_money"}, "effect": "deny"},
        ],
    )
    return instance


@pytest.fixture
def token(instance: AgentInstance) -> Any:
    lane._process = None
    yield make.workload_token(instance)
    if lane._process is not None:
        lane._process.leave()
    lane._process = None


@pytest.fixture
def document() -> dict[str, Any]:
    found: dict[str, Any] = Client().get("/api/schema", headers={"accept": "application/json"}).json()
    return found


def check(document: dict[str, Any], name: str, value: Any) -> list[str]:
    """What the schema of this name has against the value."""
    schema = {**document, "$ref": f"#/components/schemas/{name}"}
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


@pytest.mark.parametrize(
    ("asked", "decision"),
    [
        ({"tool": "search"}, "allow"),
        ({"tool": "wire_money"}, "deny"),
        (
            {"data": [{"class": "secret", "access": "read"}], "estimate": {"tokens": 10, "money": "0.01"}},
            "deny",
        ),
    ],
)
def test_questions_and_answers_are_as_the_document_says(
    document: dict[str, Any], token: str, asked: dict[str, Any], decision: str
) -> None:
    body = {**ASKED, **asked}
    answer = send(PATH, token, body)
    assert check(document, "DecideIn", body) == []
    assert check(document, "DecideOut", answer.body) == []
    assert answer.decision == decision


def test_an_approval_that_is_asked_for_is_as_the_document_says(document: dict[str, Any], token: str) -> None:
    answer = send(PATH, token, {**ASKED, "tool": "send_email"})
    state = send(f"{PATH}/approval?id={answer.body['approval']['id']}", token, method="GET")
    assert answer.decision == "approve"
    assert check(document, "DecideOut", answer.body) == []
    assert check(document, "DecideApproval", state.body) == []


def test_a_batch_is_as_the_document_says(document: dict[str, Any], token: str) -> None:
    body = {"requests": [ASKED, {**ASKED, "tool": 7}]}
    answer: Answer = send(f"{PATH}/batch", token, body)
    assert check(document, "DecideBatchOut", answer.body) == []
    assert check(document, "DecideBatchIn", {"requests": [ASKED]}) == []


@pytest.mark.parametrize("wrong", [{"tool": 7}, {"verdict": "allow"}, {"data": [{"class": "pii"}]}])
def test_what_the_document_does_not_allow_is_refused(
    document: dict[str, Any], token: str, wrong: dict[str, Any]
) -> None:
    body = {**ASKED, **wrong}
    answer = send(PATH, token, body)
    assert check(document, "DecideIn", body)
    assert answer.status == 422
    assert check(document, "Problem", answer.body) == []


def test_the_document_says_which_tokens_may_ask(document: dict[str, Any]) -> None:
    operation = document["paths"]["/api/v1/policy/decide"]["post"]
    assert operation["security"] == [{"decideToken": []}]
    assert document["components"]["securitySchemes"]["decideToken"]["scheme"] == "bearer"
    assert "503" in operation["responses"]
