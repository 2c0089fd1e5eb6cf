"""A maintained scanner looks for secrets: it finds tokens of many makers, takes its time, and lets digests alone."""

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.genome import wrong
from registry.genome.leaks import secret_in
from tests.growing import BOUNDED, growth
from tests.registry.genomes import example, sha

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        ("SG." + "aB3dE5gH7jK9mN1pQ3sT5v." + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5oQ7sU9w", "a SendGrid key"),
        ("AC" + "0123456789abcdef0123456789abcdef", "a Twilio key"),
        ("0123456789abcdef0123456789abcdef" + "-us12", "a Mailchimp key"),
        ("sq0csp-" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM5oQ7sU9w", "a Square secret"),
        ("123456789:" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kM", "a Telegram token"),
        ("glrt-" + "aB3dE5gH7jK9mN1pQ3sT", "a GitLab token"),
        ("AccountKey=" + "aB3d" * 21 + "aA==", "an Azure storage key"),
        ("pypi-AgEIcHlwaS5vcmc" + "aB3dE5gH7j" * 8, "a PyPI token"),
        ("ABIA" + "IOSFODNN7EXAMPLE", "an AWS access key"),
        ("GOCSPX-" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9c", "a Google client secret"),
        ("ya29." + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9c", "a Google access token"),
        ("xapp-" + "1-A0123456789-0123456789012-aB3dE5gH7j", "a Slack token"),
        ("whsec_" + "aB3dE5gH7jK9mN1pQ3sT5vX7", "a Stripe key"),
        ("gldt-" + "aB3dE5gH7jK9mN1pQ3sT", "a GitLab token"),
        ("hvs." + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9c", "a HashiCorp Vault token"),
        ("dckr_pat_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9", "a Docker token"),
        ("dapi" + "0123456789abcdef" * 2, "a Databricks token"),
        ("dop_v1_" + "0123456789abcdef" * 4, "a DigitalOcean token"),
        ("shpat_" + "0123456789abcdef" * 2, "a Shopify token"),
        ("ATATT3" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9c" * 2, "an Atlassian token"),
        ("aB3" + "8Q~" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3k", "an Azure client secret"),
        ("gsk_" + "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI3kaB3dE5gH7jK9mN", "a Groq key"),
        ("-----BEGIN SSH2 ENCRYPTED " + "PRIVATE KEY-----", "a private key"),
        ("PuTTY-User-Key-" + "File-3: ssh-ed25519", "a private key"),
        ("redis://:" + "hunter2@cache.example.com/0", "a password in an address"),
        ("HTTPS://bob:" + "hunter2@git.example.com", "a password in an address"),
    ],
)
def test_tokens_of_a_known_shape_are_refused_wherever_they_stand(secret, what):
    problems = wrong(example(x_={"note": f"use {secret} here"}))
    assert [(p["pointer"], p["code"]) for p in problems] == [("/x_/note", "secret")]
    assert what in problems[0]["message"] and secret not in problems[0]["message"]


H = "aB3dE5gH7jK9mN1pQ3sT5vX7zA9cE1gI"


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        ("lsv2_pt_" + "0123456789abcdef" * 2 + "_0123456789", "a LangSmith key"),
        ("sk-lf-" + "01234567-89ab-cdef-0123-456789abcdef", "a Langfuse key"),
        ("tvly-" + H, "a Tavily key"),
        ("xai-" + H + H, "an xAI key"),
        ("pplx-" + H + H, "a Perplexity key"),
        ("r8_" + H + "aB3dE5", "a Replicate token"),
        ("pcsk_" + H + H, "a Pinecone key"),
        ("lin_api_" + H, "a Linear key"),
        ("ntn_" + H + "aB3dE5gH7j", "a Notion token"),
        ("NRAK-" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ1", "a New Relic key"),
        ("PMAK-" + "0123456789abcdef01234567-" + "0123456789abcdef" * 2 + "ab", "a Postman key"),
        ("figd_" + H + "aB3dE5gH7j", "a Figma token"),
        ("glsa_" + H + "_ab12cd34", "a Grafana token"),
        ("sbp_" + H, "a Supabase key"),
        ("dp.pt." + H, "a Doppler token"),
        ("aB3dE5gH7jK9mN" + ".atlasv1." + H + H, "a Terraform token"),
        ("pat" + "aB3dE5gH7jK9mN." + "0123456789abcdef" * 4, "an Airtable token"),
        ("https://x.blob.example.com/a?sv=1&sig=" + H + "aB3dE5gH7j%3D", "a signature of Azure"),
        ("key_" + "sk-proj-" + H, "an OpenAI key"),
        ("https://mcp.example.com/?tavilyApiKey=" + H, "a secret"),
        ("https://mcp.example.com/?v=1&api_key=" + H, "a secret"),
        ("Authorization: Bearer " + H, "a secret"),
        ("docker run -e SEARCH_API_KEY=" + H + " image", "a secret"),
        ("search --api-key " + H, "a secret"),
        ("aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "a secret"),
        ("host=db user=arm password=" + H, "a secret"),
        ('{"client_secret": "' + H + '"}', "a secret"),
        ("https://" + H + "@git.example.com/agents.git", "a secret"),
        ("Authorization: Basic " + b64encode(b"arm:" + H[:9].encode()).decode(), "a secret"),
    ],
)
def test_secrets_within_a_text_are_refused(secret, what):
    problems = wrong(example(x_={"note": f"use {secret} here"}))
    assert [(p["pointer"], p["code"]) for p in problems] == [("/x_/note", "secret")]
    assert what in problems[0]["message"] and H not in problems[0]["message"]
    assert secret_in(secret) == what


@pytest.mark.parametrize(
    "name",
    ["api-key", "x-api-key", "access-key", "secret-key", "private-key", "tokens", "api_keys", "AccountKey", "PGPASSWORD", "pwd", "passphrase", "DB_PASS", "smtpPass"],
)  # fmt: skip
def test_what_stands_under_a_secrets_name_is_refused_however_the_name_is_written(name):
    for held, pointer in (
        ({name: H}, f"/x_/{name}"),
        ({name: [H]}, f"/x_/{name}/0"),
        ({"env": [{"name": name, "value": H}]}, "/x_/env/0/value"),
        ({"env": [f"{name.replace('-', '_')}=Hunter2!x9Qzz81"]}, "/x_/env/0"),
    ):
        assert [(p["pointer"], p["code"]) for p in wrong(example(x_=held))] == [(pointer, "secret")]
    assert wrong(example(x_={name: "vault://kv/agents/db"})) == []


@pytest.mark.parametrize(
    ("key", "member"),
    [
        ({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2", "y": "x_FEzRu9", "d": "jpsQnnGQ"}, "d"),
        ({"kty": "oct", "k": "AyM1SysPpbyDfgZl"}, "k"),
    ],
)
def test_a_private_json_web_key_is_refused_and_the_public_one_is_not(key, member):
    problems = wrong(example(x_={"keys": [key]}))
    assert [(p["pointer"], p["code"]) for p in problems] == [(f"/x_/keys/0/{member}", "secret")]
    del key[member]
    assert wrong(example(x_={"keys": [key]})) == []


@pytest.mark.parametrize(
    "innocent",
    [
        sha("anything"),
        "registry.example.com/agents/invoices@" + sha("image"),
        "4be1f9c2d30a11e2b7c88f0d5a6e7f8091a2b3c4",
        "0198c2f4-7d3e-7a51-9b6c-1f2e3d4c5b6a",
        "tpl_01k9m2x4v8e0wbt5c7qf3hn6rd",
        "vault://kv/agents/db#password",
        "pkg:pypi/invoices@1.2.0?checksum=" + sha("wheel"),
        "https://user@git.example.com/agents/invoices.git",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:agents/db-AbCdEf",
        "Never tell the password or the API key; ask for the token at the front desk.",
        "aGVsbG8gd29ybGQsIHRoaXMgaXMgbm90aGluZyBzZWNyZXQ=",
        "The token: ask-at-the-front-desk. The password = something-you-know; api_key=YOUR_API_KEY_GOES_HERE",
        "headers = {'Authorization': f'Bearer {token}'}; token=settings.payments_api_token; secret=get_secret()",
        "curl -H 'X-Api-Key: $SEARCH_API_KEY_2' --token ${TOKEN_OF_SEARCH_2} https://search.example.com/v1?q=agents",
        "Authorization: Bearer <your-access-token-1>; api_key: {{ search.api_key_2 }}",
        "secrets: vault://kv/agents/db2#password, arn:aws:secretsmanager:eu-west-1:123456789012:secret:agents/db2-AbCdEf",
        "max_tokens=4096, next: tpl_01k9m2x4v8e0wbt5c7qf3hn6rd, token_count: 01k9m2x4v8e0wbt5c7qf3hn6rd",
        "basic aGVsbG8gd29ybGQsIHRoaXMgaXMgbm90aGluZyBzZWNyZXQ= and a basic user-guide2024/intro/part1",
        "TOKENIZER=cl100k_base_2024-08-06",
        "DB_PASSWORD=vault://kv/agents/db2#password",
        "bypass=gpt-4o-2024-08-06",
        "git+ssh://git@git.example.com/agents.git and https://svc_agents_deploy_user_2@git.example.com",
    ],
)
def test_digests_identifiers_references_and_prose_are_let_alone(innocent):
    assert wrong(example(x_={"note": innocent})) == [] and secret_in(innocent) is None


@pytest.mark.parametrize(
    "seed",
    [
        "eyJ-",
        "sk-T3BlbkFJ",
        "aws key '",
        "0123abcd",
        "://a:",
        "glagent-x ",
        "token = ",
        "--api-key ",
        "bearer ",
        "basic YWI6",
        "DB_PASS=",
    ],
)
def test_reading_five_mebibytes_of_almost_a_secret_takes_ten_times_as_long_as_a_tenth_of_them(seed):
    assert growth(lambda size: secret_in(seed * (size // len(seed))), 5 * MIB) < BOUNDED


def test_threads_share_nothing():
    secret, innocent = "AC" + "0123456789abcdef0123456789abcdef", sha("x")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(secret_in, [secret, innocent] * 200)) == ["a Twilio key", None] * 200
