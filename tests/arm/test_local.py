"""Commands typed beside `./run` speak to the same installation; nothing is guessed where it could be another."""

import json
from pathlib import Path

import pytest

from arm.management import local


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory as `./run --port 9000` leaves it."""
    (tmp_path / "secrets.json").write_text(json.dumps({"secret_key": "k" * 64}))
    local.remember(tmp_path, host="127.0.0.1", port=9000)
    monkeypatch.setenv("ARM_DATA", str(tmp_path))
    return tmp_path


def test_a_command_by_hand_finds_what_run_has_made(made: Path) -> None:
    variables: dict[str, str] = {}
    local.adopt(variables)
    assert variables["ARM_SECRET_KEY"] == "k" * 64
    assert variables["ARM_GATEWAY_URL"] == "http://127.0.0.1:9001"
    assert variables["ARM_PRODUCTION"] == "0"
    assert variables["ARM_DATA"] == str(made)


@pytest.mark.parametrize("name", ["ARM_PRODUCTION", "ARM_SECRET_KEY", "DATABASE_URL"])
def test_whoever_names_an_installation_gets_that_one(made: Path, name: str) -> None:
    variables = {name: "mine"}
    local.adopt(variables)
    assert variables == {name: "mine"}


def test_where_run_was_never_used_nothing_is_assumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_DATA", str(tmp_path / "nothing"))
    variables: dict[str, str] = {}
    local.adopt(variables)
    assert variables == {}
    assert not (tmp_path / "nothing").exists()


def test_what_the_user_has_set_stays_and_addresses_are_ours(made: Path) -> None:
    whole = local.environment({"ARM_LOG_FORMAT": "json", "ARM_PORT": "1"}, data=made)
    assert whole["ARM_LOG_FORMAT"] == "json"
    assert (whole["ARM_PORT"], whole["ARM_GATEWAY_PORT"]) == ("9000", "9001")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")],
)
def test_the_address_is_one_that_a_browser_here_can_open(host: str, expected: str) -> None:
    assert local.address(host, 80) == expected
