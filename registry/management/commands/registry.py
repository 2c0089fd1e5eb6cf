"""Make the registry hold what a directory of YAML and JSON files says: `registry apply DIR --plan`, then without it; or
write the files that say what it holds: `registry export DIR`, of which an apply finds nothing to do.

A plan prints what would be made and changed and stores nothing. Exit codes: 0 there is nothing to do, or it is done; 2 a
plan has changes; 1 something is wrong, and nothing is stored.
"""

import sys
from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser
from django.db import transaction

from arm import db
from arm.errors import DomainError, Problem
from arm.models import Tenant, User
from arm.queries import account_named
from arm.words import counted
from registry import services
from registry.genome.reading import MAX_BYTES
from registry.management.commands.issue_token import tenant_id_of
from registry.protocol.files import MOST_FILES, read_files

ENDINGS = {".yaml", ".yml", ".json"}
HAS_CHANGES = 2


class _Planned(Exception):
    pass


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        apply = verbs.add_parser("apply", help="what the directory says")
        apply.add_argument("directory", type=Path)
        apply.add_argument("--plan", action="store_true", help="print what would happen, and store nothing")
        apply.add_argument("--tenant", help="slug of the tenant; default: the only one")
        apply.add_argument("--as", dest="username", required=True, help="user name of who answers for it")
        apply.add_argument("--reason", default="", help="kept with every change; not needed for a plan")

        export = verbs.add_parser("export", help="what stands, as files that apply takes")
        export.add_argument("directory", type=Path, help="a new or empty one")
        export.add_argument("--tenant", help="slug of the tenant; default: the only one")
        export.add_argument("--as", dest="username", required=True, help="user name of who takes it away")
        export.add_argument(
            "--agent", action="append", default=[], help="short name of one to take; may be repeated"
        )
        export.add_argument(
            "--replace", action="store_true", help="write over the files of an earlier export"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        actor = account_named(options["username"])
        if actor is None:
            raise CommandError(f"There is no account “{options['username']}”.")
        if options["verb"] == "export":
            self._export(options, actor)
        else:
            self._apply(options, actor)

    def _export(self, options: dict[str, Any], actor: User) -> None:
        """All of it is put together before the first file is written."""
        directory: Path = options["directory"]
        if directory.exists() and not directory.is_dir():
            raise CommandError(f"{directory} is no directory.")
        held = {name for name in _contents(directory)} if directory.is_dir() else set[str]()
        if held and not options["replace"]:
            raise CommandError(
                f"{directory} holds files already; --replace writes over those of the same names."
            )
        tenant_id = tenant_id_of(options["tenant"])
        try:
            with db.tenants([tenant_id]):
                files = services.export_files(
                    tenant=Tenant.objects.get(pk=tenant_id), actor=actor, agents=options["agent"]
                )
        except DomainError as refusal:
            raise _error(refusal.message, refusal.extra.get("errors") or []) from refusal  # type: ignore[arg-type]
        for name, data in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                raise CommandError(f"{name} is a link; it is not written through.")
            path.write_bytes(data)
        self.stdout.write(f"Written: {counted(len(files), 'file')} to {directory}.")
        for name in sorted(held - files.keys()):
            self.stdout.write(f"left    {name}  (not of this export)")

    def _apply(self, options: dict[str, Any], actor: User) -> None:
        directory: Path = options["directory"]
        planning: bool = options["plan"]
        if not directory.is_dir():
            raise CommandError(f"There is no directory {directory}.")
        if not planning and not options["reason"].strip():
            raise CommandError("Say why with --reason; it is kept with every change.")
        read = read_files(_contents(directory))
        if read.problems:
            raise _error("The files cannot be applied; nothing is stored.", read.problems)
        if not read.items:
            raise CommandError(f"{directory} holds no file that names anything.")
        lines = self._applied(tenant_id_of(options["tenant"]), read.items, actor, options)
        changing = [line for line in lines if line.verb != "same"]
        for line in lines:
            if line.verb != "same" or options["verbosity"] > 1:
                self.stdout.write(f"{line.verb:<7} {line.kind} {line.name}  ({line.where.rstrip('#')})")
            for name, before, after in line.fields:
                self.stdout.write(f"          {name}: {before or '(empty)'} → {after or '(empty)'}")
        same = len(lines) - len(changing)
        if not changing:
            self.stdout.write(f"Nothing to do: all {same} are as the files say.")
        elif planning:
            self.stdout.write(f"Plan: {_counted(changing)}, {same} the same. Nothing is stored.")
            sys.exit(HAS_CHANGES)
        else:
            self.stdout.write(f"Applied: {_counted(changing)}, {same} the same.")

    def _applied(
        self, tenant_id: Any, items: Any, actor: User, options: dict[str, Any]
    ) -> list[services.Line]:
        """What was done; of a plan, what was done and taken back."""
        lines: list[services.Line] = []
        try:
            with db.tenants([tenant_id]), transaction.atomic():
                lines = services.apply_files(
                    tenant=Tenant.objects.get(pk=tenant_id),
                    items=items,
                    actor=actor,
                    reason=options["reason"].strip() or "A plan, which is taken back.",
                )
                if options["plan"]:
                    raise _Planned
        except _Planned:
            pass
        except DomainError as refusal:
            problems: Any = refusal.extra.get("errors") or []
            raise _error(refusal.message, problems) from refusal
        return lines


def _contents(directory: Path) -> dict[str, bytes]:
    """The files by their names within the directory; hidden ones and links that lead out of it are left alone."""
    root = directory.resolve()
    found: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.suffix.lower() not in ENDINGS or hidden or not path.is_file():
            continue
        if not path.resolve().is_relative_to(root):
            raise CommandError(f"{name} leads out of the directory; nothing is stored.")
        if len(found) == MOST_FILES:
            raise CommandError(f"The directory has more than {MOST_FILES:,} files; nothing is stored.")
        with path.open("rb") as file:
            found[name.as_posix()] = file.read(MAX_BYTES + 1)
    return found


def _error(message: str, problems: list[Problem]) -> CommandError:
    lines = [f"  {problem['pointer'].rstrip('#')}: {problem['message']}" for problem in problems]
    return CommandError("\n".join([message, *lines]))


def _counted(lines: list[services.Line]) -> str:
    verbs = [line.verb for line in lines]
    return ", ".join(f"{verbs.count(verb)} to {verb}" for verb in ("create", "change") if verb in verbs)
