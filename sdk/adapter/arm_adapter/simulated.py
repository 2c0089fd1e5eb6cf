"""A runtime for demonstrations and tests: instances are members of a JSON file that it really changes."""

import json
import os
from pathlib import Path
from typing import Any

from .runtime import CannotApply, Instance


class SimulatedRuntime:
    """`file`: {"instances": [{"external_id", "id", "version_id", "state"}]}. `refuses`: states that it cannot do."""

    def __init__(self, file: str, refuses: list[str] | None = None) -> None:
        self.file, self.refuses = Path(file), frozenset(refuses or ())

    def instances(self) -> list[Instance]:
        return [
            Instance(one["external_id"], one.get("id", ""), one["version_id"], one["state"])
            for one in self._read()["instances"]
        ]

    def apply(self, instance: Instance, desired: dict[str, Any]) -> None:
        if desired["run_state"] in self.refuses:
            raise CannotApply("unsupported", f"This runtime cannot bring about {desired['run_state']}.")
        said = self._read()
        for one in said["instances"]:
            if one["external_id"] == instance.external_id:
                one["state"], one["allow"] = desired["run_state"], desired["allow"]
        self._write(said)

    def health(self) -> tuple[str, str]:
        return "ok", ""

    def _read(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.file.read_text())
        return said

    def _write(self, said: dict[str, Any]) -> None:
        """Whole or not at all: whoever reads meanwhile finds the old file or the new one."""
        beside = self.file.with_suffix(".new")
        beside.write_text(json.dumps(said, indent=1))
        os.replace(beside, self.file)
