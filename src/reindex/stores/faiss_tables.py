"""The FAISS store's files: SQLite databases that hold everything; the index is made from them.

Under the store's folder::

    catalog.sqlite          collections (dimensions, metadata, file) and aliases
    <name>-<random>.sqlite  one collection: ids, stamps, payloads, vectors

A collection exists where the catalog says so. Every change is one transaction in write-ahead mode:
a process that is killed at any point leaves it done or not done, and several processes may work
at once. Files that the catalog does not name are leftovers of killed processes; the next change of
the catalog removes them.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from reindex.errors import StoreBusy, StoreError
from reindex.records import CollectionSpec
from reindex.stores.layout import Shape

CATALOG = "catalog.sqlite"
WAIT = 30.0
"""Seconds to wait for another process's transaction (they take milliseconds)."""

_CATALOG_SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    name TEXT PRIMARY KEY, file TEXT NOT NULL, dim INTEGER NOT NULL, prefix_dim INTEGER,
    metadata TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS aliases (alias TEXT PRIMARY KEY, collection TEXT NOT NULL) STRICT;
"""
_COLLECTION_SCHEMA = """
CREATE TABLE points (
    label INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, build TEXT NOT NULL,
    rev INTEGER NOT NULL, stamp TEXT NOT NULL, payload TEXT NOT NULL
) STRICT;
CREATE TABLE vectors (label INTEGER PRIMARY KEY, vector BLOB NOT NULL) STRICT;
CREATE TABLE gone (n INTEGER PRIMARY KEY AUTOINCREMENT, label INTEGER NOT NULL) STRICT;
CREATE TRIGGER removed AFTER DELETE ON points BEGIN
    DELETE FROM vectors WHERE label = old.label;
    INSERT INTO gone (label) VALUES (old.label);
END;
"""


class Entry(NamedTuple):
    """A collection as the catalog has it."""

    file: str
    shape: Shape
    metadata: dict[str, Any]


def connect(file: Path) -> sqlite3.Connection:
    """Open in write-ahead mode, without implicit transactions; the caller keeps threads apart."""
    connection = sqlite3.connect(file, timeout=WAIT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # survives a kill; `flush` a power cut
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, *, write: bool) -> Iterator[None]:
    """One transaction: all or nothing, on one snapshot."""
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def translated(where: str) -> Iterator[None]:
    """SQLite's errors as StoreErrors that begin with ``where``."""
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            raise StoreBusy(
                f"{where}: another process has been writing for {WAIT:.0f} s. Wait for it to end, "
                "or end it, and try again."
            ) from error
        raise StoreError(f"{where}: SQLite says: {error}") from error


class CatalogFile:
    """``catalog.sqlite``. The caller keeps threads apart and translates errors."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._tables = connect(folder / CATALOG)
        self._tables.executescript(_CATALOG_SCHEMA)

    def close(self) -> None:
        """Close the connection."""
        self._tables.close()

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """A transaction that nobody else changes the catalog in."""
        with transaction(self._tables, write=True):
            self._remove_leftovers()
            yield

    def entry(self, name: str) -> Entry | None:
        """The collection, or None."""
        row = self._tables.execute(
            "SELECT file, dim, prefix_dim, metadata FROM collections WHERE name = ?", (name,)
        ).fetchone()
        return row and Entry(row[0], Shape(row[1], row[2]), json.loads(row[3]))

    def names(self) -> list[str]:
        """All collections, sorted."""
        rows = self._tables.execute("SELECT name FROM collections").fetchall()
        return sorted(name for (name,) in rows)

    def add(self, spec: CollectionSpec) -> None:
        """Make the file, then the entry."""
        shape = Shape.of(spec)
        stem = re.sub(r"[^A-Za-z0-9_.-]", "_", spec.name)[:80]
        file = f"{stem}-{uuid.uuid4().hex[:12]}.sqlite"
        with contextlib.closing(connect(self._folder / file)) as tables:
            tables.executescript(_COLLECTION_SCHEMA)
        metadata = json.dumps(dict(spec.metadata))
        self._tables.execute(
            "INSERT INTO collections VALUES (?, ?, ?, ?, ?)",
            (spec.name, file, shape.dim, shape.prefix_dim, metadata),
        )

    def remove(self, name: str) -> None:
        """Remove the entry; `unlink` its file once that is committed."""
        self._tables.execute("DELETE FROM collections WHERE name = ?", (name,))

    def unlink(self, file: str) -> None:
        """Remove a collection's file. Who still reads it keeps it until he closes it."""
        for ending in ("", "-wal", "-shm"):
            (self._folder / f"{file}{ending}").unlink(missing_ok=True)

    def merge_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Merge shallowly."""
        entry = self.entry(name)
        merged = {**(entry.metadata if entry else {}), **metadata}
        self._tables.execute(
            "UPDATE collections SET metadata = ? WHERE name = ?", (json.dumps(merged), name)
        )

    def aliases(self) -> dict[str, str]:
        """alias -> collection."""
        return dict(self._tables.execute("SELECT alias, collection FROM aliases").fetchall())

    def set_alias(self, alias: str, collection: str) -> None:
        """Point the alias."""
        self._tables.execute("REPLACE INTO aliases VALUES (?, ?)", (alias, collection))

    def _remove_leftovers(self) -> None:
        """Files without an entry: whoever makes one now would hold this transaction."""
        rows = self._tables.execute("SELECT file FROM collections").fetchall()
        kept = {CATALOG, *(file for (file,) in rows)}
        for file in self._folder.glob("*.sqlite"):
            if file.name not in kept:
                self.unlink(file.name)
