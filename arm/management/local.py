"""The environment of an installation on one machine; `python -m arm.management.local COMMAND` runs a command in it."""

import json
import os
import socket
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import NoReturn

from arm import pg

ROOT = Path(__file__).resolve().parents[2]
PORT = 8000
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def remember(data: Path, *, host: str, port: int) -> None:
    """Keep where this installation listens, for the commands that are run beside it."""
    (data / "address.json").write_text(json.dumps({"host": host, "port": port}))


def remembered(data: Path) -> tuple[str, int]:
    """Host and web port of the last `up` on this data directory, or the defaults."""
    try:
        known = json.loads((data / "address.json").read_text())
    except FileNotFoundError:
        return "127.0.0.1", PORT
    return str(known["host"]), int(known["port"])


def environment(base: Mapping[str, str], *, data: Path) -> dict[str, str]:
    """What every process of this installation is given: `base` with our values where it has none of its own.

    Ports, directories and addresses are ours to say. The secret key is made on first use and kept in the data
    directory. DATABASE_URL stays absent when it is: the embedded server answers below ARM_DATA.
    """
    host, port = remembered(data)
    names = ["127.0.0.1", "localhost", "[::1]"]
    if host not in LOOPBACK:
        names += [socket.gethostname(), *([host] if host not in {"0.0.0.0", "::"} else [])]  # noqa: S104 - a comparison
    defaults = {
        "DJANGO_SETTINGS_MODULE": "arm.settings",
        "ARM_PRODUCTION": "0",
        "ARM_LOG_FORMAT": "text",
        "ARM_ALLOWED_HOSTS": ",".join(names),
        "ARM_SECRET_KEY": "",
    }
    ours = {
        "ARM_DATA": str(data),
        "ARM_PORT": str(port),
        "ARM_GATEWAY_PORT": str(port + 1),
        "ARM_GATEWAY_URL": address(host, port + 1),
        "ARM_PUBLIC_URL": address(host, port),
        "ARM_STATIC_ROOT": str(data / "static"),
        "PYTHONUNBUFFERED": "1",
    }
    whole = {**defaults, **base, **ours}
    if not whole["ARM_SECRET_KEY"]:
        whole["ARM_SECRET_KEY"] = pg.secret(data, "secret_key")
    return whole


def adopt(variables: MutableMapping[str, str], *, makes: bool = False) -> None:
    """For `manage.py` typed by hand: where nothing says which installation is meant and `./run` has made one here,
    that one is; a command that `makes` one begins it, secrets first, since the logins of its roles follow from them.
    Elsewhere, as in a container, a missing setting stays an error."""
    if {"ARM_PRODUCTION", "ARM_SECRET_KEY", "DATABASE_URL"} & set(variables):
        return
    data = pg.default_data()
    if makes or (data / "secrets.json").exists():
        variables.update(environment(variables, data=data))


def address(host: str, port: int) -> str:
    """Where a browser on this machine finds it."""
    near = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a comparison
    return f"http://[{near}]:{port}" if ":" in near else f"http://{near}:{port}"


def main(arguments: list[str]) -> NoReturn:
    """Become `manage.py` with these arguments, next to a running installation or without one.
    A leading `--data DIR` says which."""
    data = pg.default_data()
    if arguments[:1] == ["--data"] and len(arguments) > 1:
        data, arguments = Path(arguments[1]).absolute(), arguments[2:]
    try:
        whole = environment(os.environ, data=data)
        if not whole.get("DATABASE_URL"):
            whole["DATABASE_URL"] = pg.ensure(data).owner
    except pg.PostgresUnavailable as problem:
        sys.exit(str(problem))
    os.execve(sys.executable, [sys.executable, str(ROOT / "manage.py"), *arguments], whole)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
