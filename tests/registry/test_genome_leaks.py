"""A maintained scanner looks for secrets: it finds tokens of many makers, takes its time, and lets digests alone."""

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
    ],
)
def test_digests_identifiers_references_and_prose_are_let_alone(innocent):
    assert wrong(example(x_={"note": innocent})) == [] and secret_in(innocent) is None


@pytest.mark.parametrize("seed", ["eyJ-", "sk-T3BlbkFJ", "aws key '", "0123abcd", "://a:", "glagent-x "])
def test_reading_five_mebibytes_of_almost_a_secret_takes_ten_times_as_long_as_a_tenth_of_them(seed):
    assert growth(lambda size: secret_in(seed * (size // len(seed))), 5 * MIB) < BOUNDED


def test_threads_share_nothing():
    secret, innocent = "AC" + "0123456789abcdef0123456789abcdef", sha("x")
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(secret_in, [secret, innocent] * 200)) == ["a Twilio key", None] * 200
