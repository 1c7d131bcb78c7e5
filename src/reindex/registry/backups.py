"""Backups of a registry: one SQLite file each, copied while others write, checked, whole or absent.

A backup is a registry like any other, with a table that says when it was taken and from where.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reindex import __version__
from reindex.diskspace import disk_full, is_disk_full, sync_to_disk
from reindex.errors import RegistryError
from reindex.registry.file import now
from reindex.registry.registry import Registry

BACKUP_PATTERN = "registry-*.db"
_STALE_PART_S = 24 * 3600.0
_ABOUT = """
CREATE TABLE _backup (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    taken_at TEXT NOT NULL, release TEXT NOT NULL, host TEXT NOT NULL, path TEXT NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Backup:
    """A file that `restore` takes. ``taken_at``, ``release`` and ``host`` are None where it does
    not say: a plain copy of a registry. ``schema`` is its last migration, ``bytes`` its size.
    """

    path: Path
    taken_at: str | None
    release: str | None
    host: str | None
    schema: str
    bytes: int
    versions: int
    collections: int
    comparisons: int
    promotions: int

    @property
    def when(self) -> str:
        """``the backup of 2026-11-21 12:00:00 UTC``, or the file's name."""
        if self.taken_at is None:
            return self.path.name
        return f"the backup of {self.taken_at[:19].replace('T', ' ')} UTC"


def back_up(registry: Registry, target: Path) -> Backup:
    """Copy the registry to ``target``, a new file, or a dated one in the folder ``target``.

    Others may read and write meanwhile: the copy is the registry at one moment. It is checked
    before it gets its name, so that a file of that name is a whole backup. Readable by its owner
    alone: single writes that are still on their way are in it with their texts.

    Raises:
        RegistryError: there is such a file already, or the copy is damaged.
        DiskFull: it does not fit.
    """
    if target.is_dir():
        target = target / f"registry-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}.db"
    if target.exists():
        raise RegistryError(
            f"{target} exists already. Name a new file, or a folder: the file in it is then named "
            "by the time."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        _copy(registry, part)
        found = examine(part, target)
        sync_to_disk(part)
        part.replace(target)
        sync_to_disk(target.parent)
    except (sqlite3.Error, OSError) as error:
        if is_disk_full(error):
            raise disk_full("The backup", target, error) from error
        raise RegistryError(f"The backup cannot be written to {target}: {error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return found


def prune(folder: Path, keep: int) -> list[Path]:
    """Remove the oldest of the dated backups in ``folder`` but ``keep``; returns what was removed.

    What an interrupted backup left behind goes with them after a day.
    """
    dated = sorted(folder.glob(BACKUP_PATTERN))
    gone = dated[: max(0, len(dated) - keep)]
    parts = [
        part
        for part in folder.glob(f".{BACKUP_PATTERN}.part")
        if time.time() - part.stat().st_mtime > _STALE_PART_S
    ]
    for file in [*gone, *parts]:
        file.unlink(missing_ok=True)
    return gone


def examine(file: Path, name: Path | None = None) -> Backup:
    """What stands in a backup, once all of it was read and found sound. Nothing is written.

    ``name`` is what to call it, where that is not ``file``.

    Raises:
        RegistryError: there is none, it is damaged, or it is no registry.
    """
    name = name or file
    if not file.is_file():
        raise RegistryError(f"There is no backup at {name}. Make one with `reindex backup FILE`.")
    try:
        with reading(file) as conn:
            if (said := conn.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
                raise RegistryError(f"{name} is damaged, so it is not used: {said}")
            if broken := conn.execute("PRAGMA foreign_key_check").fetchone():
                raise RegistryError(
                    f"{name} is damaged, so it is not used: a row of {broken[0]} refers to one of "
                    f"{broken[2]} that is not there."
                )
            return _describe(conn, name, file.stat().st_size)
    except sqlite3.DatabaseError as error:
        raise RegistryError(
            f"{name} cannot be read as a registry: {error}. Expected a file that `reindex backup` "
            "made, or a copy of a registry.db."
        ) from error


@contextlib.contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a file that nobody writes to, which writes nothing either."""
    # immutable: neither a lock nor files beside it, so that a read-only folder does. A copy of a
    # registry in use comes with its log, which only an ordinary connection reads
    mode = "mode=ro" if file.with_name(f"{file.name}-wal").exists() else "immutable=1"
    conn = sqlite3.connect(f"{file.resolve().as_uri()}?{mode}", uri=True)
    with contextlib.closing(conn):
        yield conn


def _describe(conn: sqlite3.Connection, path: Path, size: int) -> Backup:
    tables = {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"_sqlite_migrations", "versions", "promotions"} <= tables:
        raise RegistryError(f"{path} is a SQLite file, but no registry of reindex.")
    schema = conn.execute(
        "SELECT max(name) FROM _sqlite_migrations WHERE migration_set = 'reindex'"
    ).fetchone()[0]
    about = (None, None, None)
    if "_backup" in tables:
        about = conn.execute("SELECT taken_at, release, host FROM _backup").fetchone() or about
    counts = [
        conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 (own names)
        for table in ("versions", "collections", "comparisons", "promotions")
    ]
    return Backup(path, *about, str(schema), size, *counts)


def _copy(registry: Registry, part: Path) -> None:
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    taken_at = now()
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as conn:
        registry.copy_into(conn)
        conn.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        conn.execute("DROP TABLE IF EXISTS _backup")
        conn.execute(_ABOUT)
        conn.execute(
            "INSERT INTO _backup VALUES (1, ?, ?, ?, ?)",
            (taken_at, __version__, socket.gethostname(), str(registry.path)),
        )
