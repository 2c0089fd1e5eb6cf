"""From a bare Python to the locked packages: idempotent, honest about what is missing, obedient to the user's settings."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from arm.management import bootstrap
from arm.management.suite import APPS

PROTOS = {"google.rpc": "googleapis-common-protos", "google.protobuf": "protobuf"}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two small locks and no network needed: nothing but what the standard library brings."""
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text(f"# {name}\n")
    shutil.copy(bootstrap.ROOT / "requirements-uv.txt", tmp_path)
    for name, value in (("ROOT", tmp_path), ("TOOL", tmp_path / ".uv"), ("VENV", tmp_path / ".venv")):
        monkeypatch.setattr(bootstrap, name, value)
    monkeypatch.setattr(bootstrap, "MARK", tmp_path / ".venv" / "arm-lock")
    return tmp_path


def make_venv(checkout: Path, lock: str) -> None:
    """An environment that says it holds this lock."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to(sys.executable)
    bootstrap.MARK.write_text(f"{lock} {bootstrap.stamp(checkout / lock)}")


def test_an_environment_that_holds_the_lock_is_left_alone(checkout: Path) -> None:
    make_venv(checkout, "requirements.txt")
    assert bootstrap.is_synchronised("requirements.txt")
    bootstrap.synchronise("requirements.txt")
    assert not (checkout / ".uv").exists()


def test_a_changed_lock_is_noticed(checkout: Path) -> None:
    make_venv(checkout, "requirements.txt")
    (checkout / "requirements.txt").write_text("# another\n")
    assert not bootstrap.is_synchronised("requirements.txt")


def test_running_is_content_with_the_development_environment_but_not_the_other_way_round(
    checkout: Path,
) -> None:
    make_venv(checkout, "requirements-dev.txt")
    assert bootstrap.is_synchronised("requirements.txt")
    bootstrap.MARK.write_text(f"requirements.txt {bootstrap.stamp(checkout / 'requirements.txt')}")
    assert not bootstrap.is_synchronised("requirements-dev.txt")


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Path) -> None:
    make_venv(checkout, "requirements.txt")
    (checkout / ".venv" / "bin" / "python").unlink()
    assert not bootstrap.is_synchronised("requirements.txt")


def test_the_development_lock_holds_all_of_the_running_one_in_the_same_versions() -> None:
    def pins(name: str) -> set[str]:
        lines = (bootstrap.ROOT / name).read_text().splitlines()
        return {line.split()[0] for line in lines if "==" in line and not line.startswith((" ", "#"))}

    assert pins("requirements.txt") <= pins("requirements-dev.txt")


def test_whatever_the_product_imports_is_in_the_running_lock() -> None:
    pinned = {
        canonical(line.partition("==")[0])
        for line in (bootstrap.ROOT / "requirements.txt").read_text().splitlines()
        if "==" in line
    }
    brings = packages_distributions()
    for path in [path for app in APPS for path in (bootstrap.ROOT / app).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                whole = (
                    ".".join(name.split(".")[:2]) if name.startswith("google.") else name.partition(".")[0]
                )  # a namespace of many packages
                found = [PROTOS[whole]] if whole in PROTOS else brings.get(whole, [])
                assert not found or {canonical(one) for one in found} & pinned, f"{path}: {name}"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-uv.txt"])
def test_every_locked_package_has_hashes_and_no_address(name: str) -> None:
    text = (bootstrap.ROOT / name).read_text()
    assert "://" not in text and "--index" not in text
    for block in text.replace("\\\n", " ").splitlines():
        if "==" in block and not block.lstrip().startswith("#"):
            assert "--hash=sha256:" in block, block


def test_pips_sources_are_told_to_uv() -> None:
    listed = (
        "global.index-url='https://mirror.example/simple'\n"
        ":env:.extra-index-url='file:///one\\nfile:///two'\n"
        "install.trusted-host='mirror.example'\nglobal.no-index='false'\n"
    )
    told = bootstrap.mirrors(listed, {})
    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["UV_INDEX"] == "file:///one file:///two"
    assert told["UV_INSECURE_HOST"] == "mirror.example"
    assert "UV_NO_INDEX" not in told


def test_a_users_own_uv_settings_win() -> None:
    listed = "global.index-url='https://mirror.example/simple'\n"
    assert bootstrap.mirrors(listed, {"UV_DEFAULT_INDEX": "https://mine.example/simple"}) == {}


def test_without_a_home_to_write_to_downloads_stay_in_the_checkout(checkout: Path) -> None:
    for environment in ({}, {"HOME": "/nonexistent"}):
        chosen = bootstrap.caches(environment)
        assert chosen["UV_CACHE_DIR"].startswith(str(checkout))
    assert "UV_CACHE_DIR" not in bootstrap.caches({"HOME": str(checkout)})
    assert bootstrap.caches({"UV_CACHE_DIR": "/mine"})["UV_CACHE_DIR"] == "/mine"


def test_a_library_is_found_by_loading_it() -> None:
    assert bootstrap.loads("libpango-1.0.so.0", "pango-1.0")
    assert not bootstrap.loads("libnothing-like-this.so.0", "nothing-like-this")


def test_nothing_is_missing_where_the_tests_run() -> None:
    assert bootstrap.missing_packages(for_tests=True) == []


def test_a_program_that_is_missing_is_named_by_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.missing_packages(for_tests=True) == ["chromium", "poppler-utils", "openssl", "jq"]
    assert bootstrap.missing_packages(for_tests=False) == []


def test_an_ordinary_user_is_told_the_command_and_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(bootstrap.CannotSetUp, match=r"sudo apt-get install -y chromium openssl$"):
        bootstrap.install_system_packages(["chromium", "openssl"])


def test_root_installs_after_saying_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "calls"
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bootstrap.install_system_packages(["openssl"])
    assert capsys.readouterr().out == "installing system packages: openssl (apt-get)\n"
    assert log.read_text().splitlines() == ["update", "install -y --no-install-recommends openssl"]


def test_a_failed_installation_stops_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "apt-get").write_text("#!/bin/sh\necho no such package\nexit 100\n")
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(bootstrap.CannotSetUp, match="apt-get could not install openssl"):
        bootstrap.install_system_packages(["openssl"])
    assert "no such package" in capsys.readouterr().err


def test_the_data_directory_is_the_callers_path_not_the_checkouts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert bootstrap.absolute_data(["--data", "here", "--demo"]) == ["--data", f"{tmp_path}/here", "--demo"]
    assert bootstrap.absolute_data(["--data=here"]) == [f"--data={tmp_path}/here"]
    assert bootstrap.absolute_data(["--data"]) == ["--data"]


@pytest.mark.parametrize("command", ["run", "test"])
def test_both_commands_work_from_anywhere_and_through_a_link_to_the_checkout(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(bootstrap.ROOT)
    if command == "run":
        done = subprocess.run(
            [tmp_path / "link" / "run", "--help"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("./run [--demo] [--port N] [--data DIR]")
    assert os.access(bootstrap.ROOT / command, os.X_OK)


def test_a_python_that_is_too_old_is_refused_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    for tool in ("dirname", "id"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    done = subprocess.run(
        ["/bin/sh", bootstrap.ROOT / "run"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "ARM needs Python 3.11 or newer: sudo apt-get install python3 python3-venv\n"


@pytest.mark.parametrize("said", [{}, {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "/elsewhere"}])
def test_what_one_process_compiled_the_next_ones_read(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, str]
) -> None:
    became: list[dict[str, str]] = []
    monkeypatch.setattr(os, "chdir", lambda place: None)
    monkeypatch.setattr(os, "execve", lambda program, command, environment: became.append(environment))
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    bootstrap.become("run", [])
    assert became[0]["PYTHONPYCACHEPREFIX"] == str(checkout / ".venv" / "bytecode")
    assert not {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"} & set(became[0])
