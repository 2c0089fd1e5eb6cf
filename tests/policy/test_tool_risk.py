"""Which class a tool has, and what in its arguments raises it."""

import pytest

from policy.engine import CATALOGUE, Catalogue, Overlay, Risk, ToolClass, redact
from policy.engine.scan import DEPTH
from tests.policy.engine_cases import ask, call, codes, standing

GREEN, YELLOW, RED = Risk.GREEN, Risk.YELLOW, Risk.RED
GITHUB_KEY = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"


def test_the_catalogue_knows_62_tools():
    by_risk = {risk: sum(tool.risk == risk for tool in CATALOGUE.values()) for risk in Risk}
    assert by_risk == {GREEN: 17, YELLOW: 23, RED: 22}


@pytest.mark.parametrize(
    ("name", "outside", "inside"),
    [
        ("read_file", GREEN, GREEN),
        ("bash", YELLOW, YELLOW),
        ("payment", RED, RED),
        ("never_heard_of", YELLOW, RED),
        ("Send-Email", RED, RED),
        ("gmail.send_email", RED, RED),
        ("mcp__mail__send_email", RED, RED),
        ("mcp__files__read_file", YELLOW, RED),
    ],
)
def test_unknown_is_yellow_outside_production_and_red_inside(name, outside, inside):
    assert Catalogue(production=False).tool(name).risk == outside
    assert Catalogue(production=True).tool(name).risk == inside


def test_a_tenant_may_raise_a_known_tool_and_never_lower_it():
    ours = Catalogue(production=True, overlays=[Overlay("read_*", RED), Overlay("payment", GREEN)])
    assert ours.tool("read_file").risk == RED
    assert ours.tool("payment").risk == RED


def test_a_tenant_may_name_a_tool_that_nobody_knew():
    ours = Catalogue(production=True, overlays=[Overlay("crm_*", GREEN, ToolClass.SEARCH)])
    assert ours.tool("crm_lookup") == (GREEN, ToolClass.SEARCH, True)


def test_of_two_entries_for_one_tool_the_higher_class_counts():
    ours = Catalogue(production=False, overlays=[Overlay("crm_*", GREEN), Overlay("*_delete", RED)])
    assert ours.tool("crm_delete").risk == RED


def test_a_manifest_may_declare_a_higher_class_and_never_a_lower_one():
    manifest = {"web_search": YELLOW, "payment": GREEN, "never_heard_of": GREEN}
    declared = Catalogue(production=True, manifest=manifest)
    assert [declared.tool(name).risk for name in manifest] == [YELLOW, RED, RED]


def test_the_memory_of_names_is_bounded():
    catalogue = Catalogue(production=False)
    for number in range(10_000):
        catalogue.tool(f"tool_{number}")
    assert len(catalogue._found) <= 4096


@pytest.mark.parametrize(
    "args",
    [
        {"maxTokens": 100},
        {"q": "deployment docs"},
        {"q": "how do I rotate a production password?"},
        {"nextPageToken": "CAUQAAbcdef"},
        {"secretName": "payments/stripe"},
        {"token": "${GITHUB_TOKEN}"},
        {"password": "<redacted>"},
        {"query": "drop shipping: truncate the update, then delete the rest"},
        {"text": "we live in production; rm -rf is a command"},
        {"force": False},
        {"environment": "staging"},
        {"note": "sk-short"},
    ],
    ids=str,
)
def test_these_arguments_stay_green(args):
    assert ask(call("web_search", args)).risk == GREEN


@pytest.mark.parametrize(
    ("tool", "args", "risk"),
    [
        ("web_search", {"api_key": "0f9a8b7c6d5e"}, RED),
        ("web_search", {"headers": {"Authorization": "Bearer abcdef123456"}}, RED),
        ("web_search", {"q": f"why does {GITHUB_KEY} fail"}, RED),
        ("create_doc", {"parts": [{"text": "-----BEGIN RSA PRIVATE KEY-----\nMIIE"}]}, RED),
        ("think", {"note": "postgres://app:hunter22@db/main"}, RED),
        ("query_db", {"database": "orders-prod"}, YELLOW),
        ("git_push", {"target": "prod-eu-1"}, RED),
        ("http_request", {"url": "https://api.prod.example.com/v1"}, RED),
        ("query_db", {"query": "select * from t where note = 'drop table x'"}, GREEN),
        ("query_db", {"query": "insert into t values (1)"}, YELLOW),
        ("query_db", {"query": "select 1; DROP TABLE users"}, RED),
        ("query_db", {"query": "delete from users"}, RED),
        ("query_db", {"query": "delete from users where id = 1"}, YELLOW),
        ("query_db", {"query": "update users set admin = true"}, RED),
        ("bash", {"command": "ls -la"}, YELLOW),
        ("bash", {"command": "rm -rf /srv"}, RED),
        ("bash", {"command": ["rm", "-r", "-f", "/srv"]}, RED),
        ("bash", {"command": "cd /srv && sudo rm -fr data"}, RED),
        ("bash", {"input": "git push --force origin main"}, RED),
        ("bash", {"argv": ["git", "push", "-f"]}, RED),
        ("bash", {"cmd": "terraform destroy -auto-approve"}, RED),
        ("git_push", {"force": True}, RED),
        ("read_file", {"path": "a.txt", "force": True}, YELLOW),
    ],
    ids=str,
)
def test_the_call_may_raise_the_class_of_its_tool(tool, args, risk):
    assert ask(call(tool, args)).risk == risk


def test_a_secret_in_the_arguments_is_to_be_redacted():
    assert "redact" in ask(call("web_search", {"api_key": "0f9a8b7c6d5e"})).obligations


def test_arguments_that_nest_too_deeply_are_refused():
    args: dict[str, object] = {}
    for _ in range(DEPTH + 1):
        args = {"in": args}
    assert codes(ask(call("web_search", args))) == ["arguments_too_deep"]


def test_production_makes_an_unknown_tool_red():
    assert ask(call("frobnicate"), on=standing(production=True)).risk == RED


def test_people_are_shown_arguments_without_their_secrets():
    assert redact(
        {
            "q": f"why does {GITHUB_KEY} fail?",
            "headers": {"Authorization": "Bearer abcdef123456"},
            "dsn": "postgres://app:hunter22@db/main",
            "pem": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nend",
            "maxTokens": 100,
            "to": ["a@example.com"],
        }
    ) == {
        "q": "why does ‹redacted› fail?",
        "headers": {"Authorization": "‹redacted›"},
        "dsn": "‹redacted›",
        "pem": "‹redacted›\nend",
        "maxTokens": 100,
        "to": ["a@example.com"],
    }
