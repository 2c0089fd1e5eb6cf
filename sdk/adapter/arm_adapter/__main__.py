"""`python -m arm_adapter register|run|thumbprints --config FILE`."""

import argparse
import logging
import os
import signal
import sqlite3
import sys
from pathlib import Path

from . import config as configuration
from .adapter import Adapter, stopper
from .connection import Connection
from .crypto import Keys, thumbprint
from .http import Refused, Unreachable
from .store import Store
from .trust import NotTrusted, Trust

TOKEN = "ARM_REGISTRATION_TOKEN"  # noqa: S105 - the name of a variable


def main(arguments: list[str] | None = None) -> int:
    """0 for done; 1 with a sentence on stderr for what went wrong."""
    parser = argparse.ArgumentParser(
        "arm_adapter", description="Reference adapter of the ARM Federation Protocol."
    )
    parser.add_argument("command", choices=["register", "run", "thumbprints"])
    parser.add_argument("--config", type=Path, required=True)
    asked = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        config = configuration.read(asked.config)
        keys = Keys(config.state)
        store = Store(config.state / "store.sqlite")
        if asked.command == "thumbprints":
            return _show(keys)
        if asked.command == "register":
            return _register(config, keys, store)
        return _run(config, keys, store)
    except sqlite3.Error as problem:
        print(f"The store {config.state / 'store.sqlite'} cannot be used: {problem}", file=sys.stderr)
        return 1
    except LookupError as problem:
        print(
            f"What answers at {config.url} does not speak as ARM does: {problem} is missing.", file=sys.stderr
        )
        return 1
    except (
        configuration.BadConfig,
        Refused,
        Unreachable,
        NotTrusted,
        OSError,
        TypeError,
        ValueError,
    ) as problem:
        print(problem, file=sys.stderr)
        return 1


def _show(keys: Keys) -> int:
    print(f"auth    {thumbprint(keys.auth_jwk)}\nattest  {thumbprint(keys.attest_jwk)}")
    return 0


def _register(config: configuration.Config, keys: Keys, store: Store) -> int:
    """The token is read from the environment or from stdin: on a command line, others could read it."""
    token = os.environ.get(TOKEN) or sys.stdin.readline()
    link = Connection(config, keys, "", Trust(store))
    store.keep("client_id", link.register(token.strip())["client_id"])
    link.trust.begin(config.url, link.places["issuer"], link.listed())
    print(
        f"Registered as {store.fact('client_id')}; it waits for approval. Whoever approves compares these thumbprints:"
    )
    return _show(keys)


def _run(config: configuration.Config, keys: Keys, store: Store) -> int:
    client_id = store.fact("client_id")
    if not client_id:
        print("Not registered yet: run `register` with the token of the invitation.", file=sys.stderr)
        return 1
    link = Connection(config, keys, client_id, Trust(store))
    adapter = Adapter(
        link, store, config.make_runtime(), poll_s=config.poll_s, heartbeat_s=config.heartbeat_s
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stopper(adapter))
    adapter.run()
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
