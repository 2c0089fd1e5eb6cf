"""The container files cannot be built here, so what they say is held against the code they speak of."""

import itertools
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands
from django.db import connections

from arm.pg.base import DatabaseWrapper
from arm.pg.url import database

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
OURS = ["prepare", "web", "gateway", "worker", "signer", "scheduler"]


def words(command: str | list[str]) -> list[str]:
    parts = command if isinstance(command, list) else shlex.split(command)
    return [word for part in parts for word in part.split()]


def test_the_services_are_those_of_the_product() -> None:
    assert sorted(SERVICES) == sorted(["database", *OURS])


@pytest.mark.parametrize("name", OURS)
def test_every_process_waits_for_the_database_to_be_prepared(name: str) -> None:
    wanted = (
        {"database": "service_healthy"}
        if name == "prepare"
        else {"prepare": "service_completed_successfully"}
    )
    assert {other: rule["condition"] for other, rule in SERVICES[name]["depends_on"].items()} == wanted


@pytest.mark.parametrize("name", OURS)
def test_every_process_runs_without_privileges_on_a_read_only_disk(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "user" not in service
    assert DOCKERFILE.rpartition("\nUSER ")[2].startswith("arm\n")


def test_every_command_and_application_that_is_started_exists() -> None:
    commands = get_commands()
    started = [words(service["command"]) for service in SERVICES.values() if "command" in service]
    started.append(re.findall(r'"([^"]+)"', DOCKERFILE.rpartition("\nCMD ")[2]))
    seen = set()
    for line in started:
        for before, word in itertools.pairwise(line):
            if before == "manage.py":
                assert word in commands, word
                seen.add(word)
            if ":application" in word:
                assert find_spec(word.partition(":")[0]) is not None, word
                seen.add(word)
    assert seen == {
        "prepare", "first_admin", "qcluster", "scheduler", "arm.wsgi:application", "arm.wsgi_gateway:application",
    }  # fmt: skip


def test_every_variable_that_is_set_is_one_that_the_settings_read() -> None:
    code = "".join(path.read_text() for path in (ROOT / "arm").rglob("*.py"))
    for name in OURS:
        for variable in SERVICES[name]["environment"]:
            assert f'"{variable}"' in code or variable == "XDG_CACHE_HOME", variable


def test_no_secret_is_written_down_and_a_missing_one_stops_the_start() -> None:
    text = (ROOT / "compose.yaml").read_text()
    for variable in (
        "ARM_SECRET_KEY",
        "ARM_DATABASE_PASSWORD",
        "ARM_KEY_ENCRYPTION_KEY",
        "ARM_ALLOWED_HOSTS",
    ):
        assert re.search(rf"\$\{{{variable}:\?", text)
        assert not re.search(rf"\$\{{{variable}:?-", text)


def test_only_the_signer_holds_the_key_that_unseals_signing_keys() -> None:
    holders = [name for name in OURS if "ARM_KEY_ENCRYPTION_KEY" in SERVICES[name]["environment"]]
    assert holders == ["signer"]


def test_web_and_gateway_are_reached_from_this_host_only_and_say_whether_they_live() -> None:
    for name, port in (("web", "8000"), ("gateway", "8001")):
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
        probe = SERVICES[name]["healthcheck"]["test"]
        assert probe[-1] == f"http://127.0.0.1:{port}/health/"
        assert find_spec(probe[3]) is not None
    assert "ports" not in SERVICES["database"]


def test_the_owner_of_the_tables_is_no_superuser() -> None:
    script = COMPOSE["configs"]["create_owner"]["content"]
    assert "CREATE ROLE arm_owner LOGIN NOSUPERUSER NOBYPASSRLS" in script
    assert "arm_owner:" in SERVICES["prepare"]["environment"]["DATABASE_URL"]
    assert "POSTGRES_USER" not in SERVICES["database"]["environment"]


@pytest.mark.parametrize("name", [name for name in OURS if name != "prepare"])
def test_who_serves_never_holds_the_owners_login(name: str) -> None:
    assert SERVICES[name]["environment"]["DATABASE_URL"] == "postgresql://database:5432/arm"
    assert not any("ARM_DATABASE_PASSWORD" in str(value) for value in SERVICES[name]["environment"].values())


def test_the_roles_log_in_by_a_url_without_a_login(settings: Any) -> None:
    entry = database("postgresql://database:5432/arm", "app")
    wrapper = DatabaseWrapper({**connections["default"].settings_dict, **entry}, "elsewhere")
    parameters = wrapper.get_connection_params()
    assert (parameters["user"], parameters["host"]) == (f"{settings.ROLE_PREFIX}_app", "database")
    assert len(parameters["password"]) == 64


def test_the_image_takes_every_package_by_hash_and_all_of_the_product() -> None:
    assert DOCKERFILE.count("--require-hashes") == 2
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in let_in), let_in
    apps = {path.parent.name for path in ROOT.glob("*/migrations")}
    assert apps | {"templates", "static", "manage.py"} <= set(let_in)


def test_the_image_has_the_system_packages_that_run_looks_for() -> None:
    bootstrap = (ROOT / "arm/management/bootstrap.py").read_text()
    wanted = set(re.findall(r'"(lib[a-z0-9.-]+|fonts-[a-z-]+)"', bootstrap)) - set(
        re.findall(r'"(lib\S+\.so\.0)"', bootstrap)
    )
    assert wanted and all(package in DOCKERFILE for package in wanted), wanted
