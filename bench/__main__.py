"""`./run bench [NAME…] [--quick] [--json FILE] [--write-docs]`: run benches, print one table.

Exit 1 when a bench failed or a limit was missed; quick runs use small data, so their limits do not count.
"""

import argparse
import importlib
import json
import os
import pkgutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import django
from django.core.management import call_command

import bench
from arm import pg
from arm.management import local
from bench.harness import database, report


def names() -> list[str]:
    """Every bench there is: the modules beside this one."""
    return [
        module.name
        for module in pkgutil.iter_modules(bench.__path__)
        if module.name not in {"__main__", "harness"}
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones; all of: {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="small data: does it run, not how fast is it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--write-docs", action="store_true", help="keep the figures in docs/benchmarks.md")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names()):
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if options.quick and options.write_docs:
        parser.error("--quick figures are not for the docs")
    data = pg.default_data()
    environment = local.environment(os.environ, data=data)
    environment |= {
        "ARM_ROLE_PREFIX": "armbench",
        "ARM_LOG_LEVEL": os.environ.get("ARM_LOG_LEVEL", "ERROR"),
    }
    served = None
    if not environment.get("DATABASE_URL"):
        served = pg.ensure(data)
        environment["DATABASE_URL"] = served.owner
    try:
        with tempfile.TemporaryDirectory(prefix="arm-bench-") as static:
            os.environ.update(environment, ARM_STATIC_ROOT=static)
            django.setup()
            call_command("collectstatic", interactive=False, verbosity=0)
            return measure(options, environment["DATABASE_URL"])
    finally:
        if served and served.started:
            pg.stop(data)


def measure(options: argparse.Namespace, url: str) -> int:
    """Run the chosen benches, each on a database of its own, and report."""
    figures, failed = [], []
    with database.template(url):
        for name in options.names or names():
            began = time.monotonic()
            print(f"{name} …", file=sys.stderr, flush=True)
            try:
                with database.fresh_database(url):
                    importlib.import_module("tests.make").forget()  # tenants of the bench before
                    figures += importlib.import_module(f"bench.{name}").run(options.quick)
            except Exception:  # noqa: BLE001 - one failed bench does not hide the others
                traceback.print_exc()
                failed.append(name)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    facts = report.as_json(figures)
    print(report.table(facts))
    print(
        f"{report.machine()}; {report.pace()}; commit {report.commit()}{'; quick, limits do not count' if options.quick else ''}"
    )
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n")
    if options.write_docs:
        report.write_docs(facts)
    for name in failed:
        print(f"{name} FAILED", file=sys.stderr)
    missed = [figure for figure in figures if not figure.good]
    return 1 if failed or (missed and not options.quick) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
