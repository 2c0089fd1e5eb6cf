"""What is present and wrong is named all at once; what is absent is only missing; what is risky is allowed."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from registry.genome import PROFILES, SCHEMA, check, completeness, missing, prune, risk_flags, wrong
from tests.growing import BOUNDED, growth
from tests.registry.genomes import example, genomes, json_values, model, prompt, sha, tool


def found(genome):
    return {problem["pointer"]: problem["code"] for problem in wrong(genome)}


def test_the_example_has_nothing_wrong_and_nothing_missing():
    assert check(example(), required_profiles=()) == []


def test_every_wrong_member_is_named_at_once_with_a_sentence():
    genome = example(
        schema="arm.genome/v2",
        models=[{"role": "primry", "provider": 3, "name": "gpt", "revision": "floating", "temprature": 1}],
        tools=[tool(risk="red", schema_digest="sha256:abc"), {"name": "half"}],
        limits={"max_turns": 0, "budget": {"amount": 2.5, "currency": "eur", "per": "run"}},
        color="blue",
    )
    said = {problem["pointer"]: problem["message"] for problem in wrong(genome)}
    assert said == {
        "/schema": "Must be “arm.genome/v1”.",
        "/models": "Exactly one model must have the role “primary”.",
        "/models/0/role": "Must be one of primary, fallback, router, judge, embedding.",
        "/models/0/provider": "Must be a string.",
        "/models/0/temprature": "No such member; the name of an extension starts with “x_”.",
        "/tools/0/risk": "Must be one of GREEN, YELLOW, RED.",
        "/tools/0/schema_digest": "Must be “sha256:” and 64 lowercase hexadecimal digits.",
        "/tools/1/kind": "“kind” is required here.",
        "/tools/1/schema_digest": "“schema_digest” is required here.",
        "/tools/1/description_digest": "“description_digest” is required here.",
        "/tools/1/risk": "“risk” is required here.",
        "/limits/max_turns": "Must be at least 1.",
        "/limits/budget/amount": "Must be a string.",
        "/limits/budget/currency": "Must be an ISO 4217 code, like EUR.",
        "/color": "No such member; the name of an extension starts with “x_”.",
    }


def test_absence_is_missing_and_never_wrong():
    draft = {"schema": "arm.genome/v1", "models": [], "provenance": {}, "memory": None}
    assert wrong(draft) == []
    assert [p["pointer"] for p in missing(draft)] == [
        "/template",
        "/models",
        "/prompts",
        "/tools",
        "/provenance",
    ]


def test_no_tools_is_an_answer():
    assert missing(example(tools=[])) == []
    assert [p["pointer"] for p in missing(example(tools=None))] == ["/tools"]


def test_a_tenant_may_require_any_profile():
    problems = check(example(), required_profiles={"memory", "limits"})
    assert problems == [{"pointer": "/memory", "code": "missing", "message": "“memory” is missing."}]
    with pytest.raises(ValueError, match="aura"):
        check(example(), required_profiles={"aura"})


def test_exactly_one_model_is_primary():
    assert found(example(models=[model("router")])) == {"/models": "primary"}
    assert found(example(models=[model(), model("judge"), model()])) == {"/models/2/role": "primary"}


def test_the_order_of_fallbacks_is_whole_or_not_there():
    def with_orders(*orders):
        fallbacks = [model("fallback", **({"order": order} if order else {})) for order in orders]
        return found(example(models=[model(), *fallbacks]))

    assert with_orders(None, None) == {} == with_orders(2, 1)
    assert with_orders(1, None) == {"/models/2/order": "order"}
    assert with_orders(1, 2, 1) == {"/models/3/order": "order"}


def test_the_same_tool_twice_is_wrong_even_in_another_normal_form():
    assert found(example(tools=[tool("Käse"), tool("b"), tool("Ka\u0308se")])) == {
        "/tools/2/name": "duplicate"
    }


def test_other_lists_have_no_repeats_either():
    genome = example(
        secrets=[{"name": "db", "ref": "env:A"}, {"name": "db", "ref": "env:B"}],
        data_sources=[{"id": "crm", "class": "public", "access": "read"}] * 2,
    )
    assert found(genome) == {"/secrets/1/name": "duplicate", "/data_sources/1/id": "duplicate"}


def test_one_prompt_is_the_system_prompt_and_is_named_by_a_whole_descriptor():
    assert found(example(prompts=[prompt("user")])) == {"/prompts": "system_prompt"}
    broken = prompt() | {"size": -1, "media_type": "text", "digest": sha("x").upper()}
    assert found(example(prompts=[broken])) == {
        "/prompts/0/size": "minimum",
        "/prompts/0/media_type": "pattern",
        "/prompts/0/digest": "pattern",
    }


def test_a_line_feed_after_a_digest_is_not_a_digest():
    assert found(example(prompts=[prompt(digest=sha("x") + "\n")])) == {"/prompts/0/digest": "pattern"}


def test_a_moment_that_does_not_exist_is_wrong():
    provenance = example()["provenance"] | {"built_at": "2026-02-30T00:00:00Z"}
    assert found(example(provenance=provenance)) == {"/provenance/built_at": "pattern"}


def test_an_agent_that_may_not_spawn_has_no_children_to_describe():
    spawn = {"allowed": False, "max_depth": 2, "max_children": 0, "max_per_hour": 3, "child_roles": ["clerk"]}
    assert found(example(spawn=spawn)) == {
        "/spawn/max_depth": "contradiction",
        "/spawn/max_per_hour": "contradiction",
        "/spawn/child_roles": "contradiction",
    }


def test_a_memory_that_keeps_nothing_says_nothing_of_what_it_keeps():
    memory = {"kind": "none", "redacts": ["email"], "sensitivity": "internal"}
    assert found(example(memory=memory)) == {
        "/memory/redacts": "contradiction",
        "/memory/sensitivity": "contradiction",
    }


def test_what_memory_behaviour_and_spawning_say_is_of_known_words():
    known = example(
        memory={"kind": "vector", "redacts": ["email"], "sensitivity": "internal"},
        behavior={"risk_tolerance": "low", "escalation_profile": "to the owner"},
        spawn={"allowed": True, "max_per_hour": 0, "child_roles": ["clerk", "Book_keeper-2"]},
    )
    assert found(known) == {}
    unknown = example(
        memory={"kind": "vector", "redacts": "email", "sensitivity": "secret"},
        behavior={"risk_tolerance": "huge", "escalation_profile": "x" * 257},
        spawn={"allowed": True, "max_per_hour": -1, "child_roles": ["A Clerk"]},
    )
    assert found(unknown) == {
        "/memory/redacts": "type",
        "/memory/sensitivity": "enum",
        "/behavior/risk_tolerance": "enum",
        "/behavior/escalation_profile": "maxLength",
        "/spawn/max_per_hour": "minimum",
        "/spawn/child_roles/0": "pattern",
    }


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "sk-ant-" + "api03-aB3dE5gH7jK9mN1pQ3sT5vX7",
        "sk-proj-" + "aB3dE5gH7jK9mN1pQ3sT5vX7",
        "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5",
        "glpat-" + "aB3dE5gH7jK9mN1pQ3sT",
        "xoxb-" + "123456789012-abcdefghijkl",
        "AIza" + "SyA1bC2dE3fG4hI5jK6lM7nO8pQ9rS0tU1v",
        "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
        "rk_live_" + "aB3dE5gH7jK9mN1p",
        "armi_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5oQ7sU9",
        "-----BEGIN EC " + "PRIVATE KEY-----\nMHc",
        "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "postgres://bob:" + "hunter2hunter2@db.example.com/x",
    ],
)
def test_a_secret_is_refused_wherever_it_hides_and_is_not_repeated(secret):
    genome = example(
        behavior={"refusal_profile": f"say {secret}"},
        models=[model(parameters={"extra": [{"header": secret}]})],
        x_={"note": secret},
    )
    problems = wrong(genome)
    where = {p["pointer"] for p in problems if p["code"] == "secret"}
    assert where == {"/behavior/refusal_profile", "/models/0/parameters/extra/0/header", "/x_/note"}
    assert secret not in json.dumps(problems)


def test_opaque_values_under_secret_names_are_refused():
    for name in ("api_key", "apiKey", "X-Access-Token", "clientSecret", "db.password"):
        genome = example(models=[model(parameters={name: "q8Zr2LmX0vT5bN7cK1wP"})])
        assert found(genome) == {f"/models/0/parameters/{name}": "secret"}


def test_a_secret_is_refused_as_a_name_too():
    token = "ghp_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5"
    genome = example(models=[model(parameters={token: "on"})])
    assert found(genome) == {"/models/0/parameters": "secret"}, "where it stands; it is not repeated"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", "Bearer 8f14e45fceea167a5a36dedd4bea2543"),
        ("proxy-authorization", "Basic Ym9iOmh1bnRlcjI="),
        ("authorization", "8f14e45fceea167a"),
        ("bearer", "8f14e45fceea"),
        ("password", "S3cr3t!Passw0rd#2024"),
        ("dbPassword", "hunter2hunter2"),
        ("api_key", "0f9a8b7c6d5e"),
    ],
)
def test_common_values_under_the_name_of_a_secret_are_refused(name, value):
    assert found(example(x_db={name: value})) == {f"/x_db/{name}": "secret"}
    assert found(example(x_db={name: [value]})) == {f"/x_db/{name}/0": "secret"}


@pytest.mark.parametrize(
    "innocent",
    [
        {
            "Authorization": "Bearer ${TOKEN_2}",
            "authorization": "Bearer <token1234>",
            "bearer": "required",
            "password": "Ask for it at desk 12.",
            "secret": "/run/secrets/db1",
            "api_key": "OPENAI_API_KEY_2",
            "s3_secret_key": "env:S3_KEY_2",
            "token": "$GITHUB_TOKEN_2",
            "pad_token": "[PAD_0001]",
        },
        {"max_tokens": 4096, "token": "short", "stop_token": "<|endoftext|>"},
        {
            "api_key": "env:OPENAI_API_KEY",
            "secret": "${VAULT_PATH_TO_SECRET}",
            "password": "vault://kv/agents/db",
        },
        {"token": "aaaaaaaaaaaaaaaaaaaaaaaa", "system_fingerprint": "q8Zr2LmX0vT5bN7cK1wP"},
        {
            "repo": "https://git.example.com/a@b",
            "mail": "mailto:bob@example.com",
            "task": "risk-averse-task-description",
        },
    ],
)
def test_references_numbers_and_plain_words_are_no_secrets(innocent):
    assert wrong(example(x_=innocent)) == []


def test_a_secret_is_named_by_a_reference():
    assert wrong(example(secrets=[{"name": "db", "ref": "vault://kv/agents/db"}])) == []
    for held in ("env:DB_KEY", "aws-sm:prod/db", "arn:aws:secretsmanager:eu:1:secret:db", "k8s:ns/db#key"):
        assert wrong(example(secrets=[{"name": "db", "ref": held}])) == []


@pytest.mark.parametrize(
    "ref",
    [
        "hunter2",
        "plain:hunter2",
        "https://user@host/x",
        "env:my-pass word",
        "env:hun-ter2",
        "vault:",
        "Vault:x",
    ],
)
def test_what_is_no_reference_to_a_known_place_is_refused(ref):
    problems = wrong(example(secrets=[{"name": "db", "ref": ref}]))
    assert [(p["pointer"], p["code"]) for p in problems] == [("/secrets/0/ref", "pattern")]
    assert "env:NAME" in problems[0]["message"] and ref not in problems[0]["message"].replace("vault://", "")


@pytest.mark.parametrize("value", ["x:S3cr3t!Passw0rd#2024", "b64:q8Zr2LmX0vT5bN7cK1wP"])
def test_any_word_and_a_colon_do_not_make_a_secret_a_reference(value):
    assert found(example(x_db={"password": value})) == {"/x_db/password": "secret"}


def test_a_hundred_thousand_tools_are_one_problem_and_soon_said():
    def judged(size: int) -> None:
        assert wrong(example(tools=[{"name": f"t{n}"} for n in range(size)])) == [
            {"pointer": "/tools", "code": "maxItems", "message": "Must have at most 1,000 items."}
        ]

    assert growth(judged, 100_000) < BOUNDED


@pytest.mark.parametrize("seed", ["eyJ-", "sk-", "sk-a", "a://b:", "xox-", "-----BEGIN "])
def test_text_made_to_slow_a_search_down_does_not(seed):
    assert growth(lambda size: wrong(example(x_={"text": seed * (size // len(seed))})), 1_000_000) < BOUNDED


def test_completeness_is_the_share_of_recommended_profiles():
    assert completeness({}) == 0
    assert completeness(example()) == 20
    assert completeness(example() | {name: {"any": 1} for name in PROFILES}) == 100
    assert completeness(example(memory={}, skills=[])) == 20


def test_risks_are_flagged_and_allowed():
    genome = example(
        models=[model(revision="floating")],
        limits=None,
        spawn={"allowed": True},
        memory={"kind": "vector", "pii": "stored", "sensitivity": "restricted"},
        data_sources=[{"id": "salaries", "class": "restricted", "access": "read_write"}],
        behavior={"autonomy_tier_max": 4, "risk_tolerance": "high"},
        tools=[tool("a", side_effect=True), tool("b", risk="RED")],
    )
    assert wrong(genome) == []
    assert {(flag.code, flag.pointer) for flag in risk_flags(genome)} == {
        ("floating_revision", "/models/0/revision"),
        ("green_side_effect", "/tools/0/side_effect"),
        ("red_tool", "/tools/1/risk"),
        ("restricted_data", "/data_sources/0/class"),
        ("unbounded_spawn", "/spawn"),
        ("stored_pii", "/memory/pii"),
        ("endless_memory", "/memory/sensitivity"),
        ("high_autonomy", "/behavior/autonomy_tier_max"),
        ("high_risk_tolerance", "/behavior/risk_tolerance"),
        ("no_limits", "/limits"),
    }
    assert risk_flags(example(tools=[tool()])) == []
    ends = example(memory={"kind": "vector", "sensitivity": "restricted", "retention_s": 60})
    assert "endless_memory" not in {flag.code for flag in risk_flags(ends)}


@given(genomes())
def test_random_good_genomes_are_good(genome):
    assert wrong(genome) == []


def places(value, path=()):
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, held in inner:
        yield from places(held, (*path, step))


@given(st.data())
def test_whatever_one_member_becomes_we_agree_with_the_schema_and_never_fall_over(data):
    genome = copy.deepcopy(example())
    *path, last = data.draw(st.sampled_from([path for path in places(genome) if path]))
    within = genome
    for step in path:
        within = within[step]
    within[last] = data.draw(json_values)

    held = prune(genome)
    valid = Draft202012Validator({**SCHEMA, "required": []}).is_valid(held)
    schema_codes = {"required", "unknown", *Draft202012Validator.VALIDATORS}
    flaws = [p for p in wrong(genome) if p["code"] in schema_codes]
    assert (flaws == []) is valid
