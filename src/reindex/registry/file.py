"""The registry's file: opening, migrating, transactions and rows. The only sqlite_utils importer.

WAL mode, one connection per thread, and `transaction` (``BEGIN IMMEDIATE``) around whatever must
not interleave with another process.
"""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlite_utils import Database, Migrations

from reindex.diskspace import disk_full, is_disk_full
from reindex.errors import Conflict, RegistryError, RegistryTooNew
from reindex.registry.ledger import BuiltCollection, Promotion, Run, StoredComparison, Version

BUSY_TIMEOUT_S = 30.0
_JSON_COLUMNS = {"recipe", "metrics", "report", "details", "result", "conditions"}
_BOOLEAN_COLUMNS = {"complete", "forced"}
Row = TypeVar("Row", Version, Run, BuiltCollection, StoredComparison, Promotion)


def now() -> str:
    """UTC, ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _migrations() -> Migrations:
    """The numbered SQL files of ``migrations/``, each one a migration."""
    found = Migrations("reindex")
    folder = importlib.resources.files("reindex.migrations")
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".sql"):
            script = entry.read_text("utf-8")
            found(name=entry.name.removesuffix(".sql"))(_applier(script))
    return found


def _applier(script: str) -> Any:
    def apply(db: Database) -> None:
        # executescript() would commit the transaction that records the migration
        statement = ""
        for line in script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                db.conn.execute(statement)
                statement = ""

    apply.__name__ = "apply"
    return apply


class RegistryFile:
    """The SQLite file of a registry. Safe to use from several threads and processes."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Open the registry and apply pending migrations (a backup is made first).

        Raises:
            RegistryError: there is none at ``path`` and ``create`` is False, or it is damaged.
            RegistryTooNew: it was written by a newer release.
        """
        if not create and not path.exists():
            raise RegistryError(f"There is no registry at {path}. Run `reindex init` to make one.")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.owner_token = ""
        """Under which whoever uses this object is the project's owner: see `registry.owners`."""
        self._local = threading.local()
        try:
            self._migrate()
        except sqlite3.DatabaseError as error:
            if is_disk_full(error):
                raise disk_full("The registry", self.path, error) from error
            raise RegistryError(
                f"{path} cannot be read as a registry: {error}. "
                "Bring it back from a backup: reindex restore FILE. Copies from before upgrades "
                f"are beside it: {path.name}.before-*"
            ) from error

    # -- connections and transactions

    @property
    def _db(self) -> Database:
        db: Database | None = getattr(self._local, "db", None)
        if db is None:
            conn = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            conn.execute("PRAGMA journal_mode=WAL")
            conn.execute("PRAGMA synchronous=FULL")
            conn.execute("PRAGMA foreign_keys=ON")
            db = self._local.db = Database(conn)
        return db

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock: nobody else writes until the block ends. Nests."""
        db = self._db
        if db.conn.in_transaction:
            with db.atomic():
                yield
            return
        try:
            db.conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_disk_full(error):
                raise disk_full("The registry", self.path, error) from error
            raise Conflict(
                f"{self.path} is locked by another process for over {BUSY_TIMEOUT_S:g} s "
                f"({error}). Try again when it is done."
            ) from error
        try:
            yield
            db.commit()
        except BaseException as error:
            db.rollback()
            if isinstance(error, sqlite3.Error) and is_disk_full(error):
                raise disk_full("The registry", self.path, error) from error
            raise

    @staticmethod
    def now() -> str:
        """The time as the registry writes it: UTC, ISO 8601, microseconds."""
        return now()

    def close(self) -> None:
        """Close this thread's connection."""
        db: Database | None = getattr(self._local, "db", None)
        if db is not None:
            db.close()
            self._local.db = None

    def _migrate(self) -> None:
        migrations, db = _migrations(), self._db
        known = {migration.name for migration in migrations._migrations}
        applied = {migration.name for migration in migrations.applied(db)}
        if unknown := sorted(applied - known):
            raise RegistryTooNew(
                f"{self.path} was written by a newer release of reindex "
                f"(it knows {', '.join(unknown)}). Upgrade: pip install -U reindex"
            )
        if applied == known:
            return
        if applied:
            self._back_up(sorted(known - applied)[0])
        with self.transaction():  # another process may have migrated meanwhile: apply() looks again
            migrations.apply(db)

    def _back_up(self, before: str) -> None:
        target = sqlite3.connect(self.path.with_name(f"{self.path.name}.before-{before}"))
        with contextlib.closing(target):
            self.copy_into(target)

    def copy_into(self, target: sqlite3.Connection) -> None:
        """Copy all of it, as it is at one moment, while others read and write.

        In one step: a copy in several would begin anew with every write in between.
        """
        self._db.conn.backup(target)

    # -- rows

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Run one statement on this thread's connection."""
        return self._db.conn.execute(sql, tuple(parameters))

    def execute_many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run one statement for every row, in one transaction."""
        with self.transaction():
            self._db.conn.executemany(sql, rows)

    def _rows(self, kind: type[Row], sql: str, parameters: Iterable[Any] = ()) -> list[Row]:
        names = [item.name for item in fields(kind)]
        found = self._db.query(sql, tuple(parameters))
        return [kind(**{name: _decode(name, row[name]) for name in names}) for row in found]

    def _dicts(self, sql: str) -> list[dict[str, Any]]:
        return list(self._db.query(sql))

    def _row(self, kind: type[Row], sql: str, parameters: Iterable[Any] = ()) -> Row | None:
        rows = self._rows(kind, sql, parameters)
        return rows[0] if rows else None

    def _insert(self, table: str, **values: Any) -> int:
        columns = {name: _encode(value) for name, value in values.items()}
        names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
        with self.transaction():
            cursor = self._db.conn.execute(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 (own names)
                tuple(columns.values()),
            )
        return int(cursor.lastrowid or 0)

    def _update(self, table: str, key: str, value: Any, **changes: Any) -> None:
        columns = {name: _encode(change) for name, change in changes.items()}
        sets = ", ".join(f"{name} = ?" for name in columns)
        with self.transaction():
            cursor = self._db.conn.execute(
                f"UPDATE {table} SET {sets} WHERE {key} = ?",  # noqa: S608 (own names)
                (*columns.values(), value),
            )
            if cursor.rowcount != 1:
                raise RegistryError(f"{table} holds no row with {key} = {value!r}.")


def _encode(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, default=str)
    return int(value) if isinstance(value, bool) else value


def _decode(name: str, value: Any) -> Any:
    if name in _JSON_COLUMNS:
        return json.loads(value)
    return bool(value) if name in _BOOLEAN_COLUMNS else value
