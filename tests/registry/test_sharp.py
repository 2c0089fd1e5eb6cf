"""What a caller gets wrong is said, and what callers rely on is looked at: how they sign in, filters, times."""

import pytest

from registry.engine import drift
from tests import make
from tests.registry.genomes import example

pytestmark = pytest.mark.django_db

KEY = {"name": "key", "kind": "api_key", "location": "header", "parameter": "X-Key"}
CARD = {"name": "card", "kind": "mutual_tls", "description": "Ours"}
OAUTH = {
    "name": "sso",
    "kind": "oauth2",
    "flows": [{"kind": "client_credentials", "token_url": "https://id.example.com/token", "scopes": []}],
}


def security(*schemes, ways):
    """`ways`: alternatives, each {scheme: scopes}."""
    return {
        "schemes": list(schemes),
        "requirements": [
            {
                "all_of": [
                    {"scheme": name, **({"scopes": list(scopes)} if scopes else {})}
                    for name, scopes in way.items()
                ]
            }
            for way in ways
        ],
    }


def breaking(before, after):
    genomes = (example(**({"security": said} if said else {})) for said in (before, after))
    return {one.kind for one in drift(*genomes) if one.breaking}


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (security(KEY, ways=[{"key": ()}]), security(KEY, ways=[{"key": ()}]), set()),
        (
            security(KEY, ways=[{"key": ()}]),
            security(CARD, ways=[{"card": ()}]),
            {"sign-in removed", "sign-in required"},
        ),
        (None, security(KEY, ways=[{"key": ()}]), {"sign-in required"}),
        (security(KEY, ways=[{"key": ()}]), security(KEY, ways=[]), {"sign-in dropped"}),
        (security(KEY, ways=[{"key": ()}]), security(KEY, CARD, ways=[{"key": ()}, {"card": ()}]), set()),
        (
            security(KEY, ways=[{"key": ()}]),
            security(KEY, CARD, ways=[{"key": (), "card": ()}]),
            {"sign-in required"},
        ),
        (
            security(OAUTH, ways=[{"sso": ("read",)}]),
            security(OAUTH, ways=[{"sso": ("read", "write")}]),
            {"sign-in required"},
        ),
        (
            security(OAUTH, ways=[{"sso": ("read", "write")}]),
            security(OAUTH, ways=[{"sso": ("read",)}]),
            set(),
        ),
        (
            security(KEY, ways=[{"key": ()}]),
            security(KEY | {"parameter": "X-Other"}, ways=[{"key": ()}]),
            {"sign-in changed"},
        ),
        (
            security(KEY, ways=[{"key": ()}]),
            security(KEY | {"description": "Ask us"}, ways=[{"key": ()}]),
            set(),
        ),
    ],
)
def test_another_way_to_sign_in_breaks_who_came_in_by_the_one_that_was(before, after, kinds):
    assert breaking(before, after) == kinds


@pytest.fixture
def rita(client):
    acme = make.tenant("acme")
    user = make.everything(make.user("rita", member_of=acme), acme)
    client.force_login(user)
    return user


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/registry/findings/?open=x",
        "/api/v1/registry/sweeps/?finished=x",
        "/api/v1/registry/sweeps/?wrong=maybe",
        "/api/v1/registry/handovers/?open=2",
        "/api/v1/views/?shared=perhaps",
    ],
)
def test_a_question_of_yes_or_no_takes_no_other_answer(client, rita, address):
    answer = client.get(address)
    name = address.split("?")[1].split("=")[0]
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == f"/{name}", answer.content
    for said in ("true", "false", "1", "0", ""):
        assert client.get(f"{address.split('=')[0]}={said}").status_code == 200, said


@pytest.mark.parametrize("seconds", [10**15, 59, 86_401, -1])
def test_how_long_the_old_ones_work_on_has_bounds(client, rita, seconds):
    slot = make.slot()
    body = {"reason": "x", "leaving": make.approved().typeid, "drain": "replaced", "within_seconds": seconds}
    answer = client.post(
        f"/api/v1/registry/slots/{slot.typeid}/roll-back/", body, content_type="application/json"
    )
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == "/within_seconds", (
        answer.content
    )
