"""`manage.py` typed by hand on an empty directory, without `./run` before it."""

import os
import subprocess
import sys
from pathlib import Path

from arm import pg
from arm.management.local import ROOT

from .product import product


def test_what_prepare_has_made_is_found_by_the_next_command() -> None:
    with product(first_start=True) as nothing:  # for a directory that is taken away again
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("ARM_", "DATABASE_"))
        }
        environment = kept | {"ARM_DATA": str(nothing.data)}

        def manage(*arguments: str) -> str:
            done = subprocess.run(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        manage("prepare")
        before = pg.secret(Path(nothing.data), "secret_key")
        counting = "from arm.models import User; print(User.objects.filter(is_superuser=True).count())"
        assert manage("shell", "-v", "0", "-c", counting).strip() == "0"
        assert "one-time password" in manage("first_admin")
        assert manage("shell", "-v", "0", "-c", counting).strip() == "1"
        assert pg.secret(Path(nothing.data), "secret_key") == before
