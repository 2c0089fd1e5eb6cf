"""Verify files of evidence: signed statements (.dsse.json), PDFs, Audit Packs (.zip). Ends with 1 where one does not fit."""

from pathlib import Path
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser

from arm import db
from evidence.models import SigningKey
from evidence.queries import keyring_of
from evidence.signing import checking, unpacking


class Command(BaseCommand):
    help = __doc__
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument(
            "--keys", type=Path, help="an arm-keys.json to trust; without it, the keys of this installation"
        )

    def handle(self, *, files: list[Path], keys: Path | None, **_: Any) -> None:
        ring = self._keyring(keys)
        wrong = 0
        for file in files:
            data = self._read(file)
            checks = (
                list(unpacking.examine(data, ring))
                if unpacking.is_zip(data)
                else checking.examine(data, ring)
            )
            for check in checks:
                self.stdout.write(f"{file}: {'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
                wrong += not check.ok
        if wrong:
            raise CommandError(f"{wrong} checks failed.")

    def _keyring(self, keys: Path | None) -> checking.Keyring:
        if keys is None:
            with db.tenants(db.all_tenants()):
                return keyring_of(SigningKey.objects.all())
        try:
            return checking.keyring(self._read(keys))
        except checking.BadKeyring as problem:
            raise CommandError(str(problem)) from problem

    def _read(self, file: Path) -> bytes:
        try:
            return file.read_bytes()
        except OSError as problem:
            raise CommandError(f"{file} cannot be read: {problem.strerror}.") from problem
