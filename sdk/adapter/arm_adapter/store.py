"""What must outlive the process: the newest order of each instance, the generation that was applied, and what is to be
acknowledged. SQLite, committed before anybody is told."""

import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS orders (
  instance TEXT PRIMARY KEY, generation INTEGER NOT NULL, sha256 TEXT NOT NULL, command TEXT NOT NULL,
  desired TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT '', attested INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS answers (jti TEXT PRIMARY KEY, err TEXT NOT NULL, description TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Order:
    """What ARM wants of an instance, and how far that is: `applied_at` empty until the runtime did it."""

    instance: str
    generation: int
    sha256: str
    command: str
    desired: dict[str, Any]
    applied_at: str
    attested: bool
    failed: bool


class Store:
    def __init__(self, file: Path) -> None:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))  # the files beside it take its mode
        file.chmod(0o600)
        self.base = sqlite3.connect(file, isolation_level=None)
        self.base.execute("PRAGMA journal_mode = WAL")
        self.base.execute("PRAGMA synchronous = FULL")
        self.base.executescript(TABLES)

    def close(self) -> None:
        self.base.close()

    def fact(self, name: str) -> str:
        row = self.base.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
        return str(row[0]) if row else ""

    def keep(self, name: str, value: str) -> None:
        self.base.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])

    def generation(self, instance: str) -> int:
        """Of the newest order for the instance, 0 where there is none."""
        row = self.base.execute("SELECT generation FROM orders WHERE instance = ?", [instance]).fetchone()
        return int(row[0]) if row else 0

    def take(self, jti: str, order: Order) -> bool:
        """Keep the order and that it is to be acknowledged, in one transaction. False where a newer one stands."""
        self.base.execute("BEGIN IMMEDIATE")
        try:
            row = self.base.execute(
                "SELECT generation, sha256 FROM orders WHERE instance = ?", [order.instance]
            ).fetchone()
            stale = row is not None and (
                row[0] > order.generation or (row[0] == order.generation and row[1] != order.sha256)
            )
            if row is None or (not stale and row[0] < order.generation):
                self.base.execute(
                    "INSERT OR REPLACE INTO orders (instance, generation, sha256, command, desired)"
                    " VALUES (?, ?, ?, ?, ?)",
                    [
                        order.instance,
                        order.generation,
                        order.sha256,
                        order.command,
                        json.dumps(order.desired),
                    ],
                )
            self._answer(jti, "stale_generation" if stale else "", f"{row[0]} stands" if stale else "")
            self.base.execute("COMMIT")
        except BaseException:
            self.base.execute("ROLLBACK")
            raise
        return not stale

    def refuse(self, jti: str, err: str, description: str) -> None:
        self._answer(jti, err, description)

    def answers(self) -> tuple[list[str], dict[str, dict[str, str]]]:
        """What to acknowledge, and what to refuse, in the next poll."""
        rows = self.base.execute("SELECT jti, err, description FROM answers ORDER BY rowid").fetchall()
        acks = [jti for jti, err, _ in rows if not err]
        return acks, {jti: {"err": err, "description": text} for jti, err, text in rows if err}

    def answered(self, names: list[str]) -> None:
        self.base.executemany("DELETE FROM answers WHERE jti = ?", [[name] for name in names])

    def orders(self) -> dict[str, Order]:
        rows = self.base.execute(
            "SELECT instance, generation, sha256, command, desired, applied_at, attested, failed FROM orders"
        ).fetchall()
        return {
            row[0]: Order(
                row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], bool(row[6]), bool(row[7])
            )
            for row in rows
        }

    def mark(self, order: Order, **marks: str | int) -> None:
        """Only of this very generation: a newer order that came meanwhile keeps its own marks."""
        for name, value in marks.items():
            if name not in ("applied_at", "attested", "failed"):
                raise ValueError(name)
            self.base.execute(
                f"UPDATE orders SET {name} = ? WHERE instance = ? AND generation = ?",  # noqa: S608 - named above
                [value, order.instance, order.generation],
            )

    def _answer(self, jti: str, err: str, description: str) -> None:
        self.base.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", [jti, err, description])
