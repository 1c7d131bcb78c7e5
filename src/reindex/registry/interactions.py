"""What was searched for and what became of it: a file of its own beside the registry.

It grows with the traffic, is pruned, and can be deleted without harm, so it shares neither the
registry's lock nor its backups. Keys and queries stand in it as hashes under a salt of this file.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reindex.errors import RegistryTooNew

INTERACTIONS_NAME = "interactions.db"
_SCHEMA = 1
_TABLES = """
CREATE TABLE meta (only INTEGER PRIMARY KEY CHECK (only = 1), salt BLOB NOT NULL) STRICT;
CREATE TABLE searches (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at REAL NOT NULL,           -- seconds since 1970, UTC
    version TEXT NOT NULL,      -- that answered
    phase INTEGER,              -- of the canary that ran: canary_phases.id in the registry
    side TEXT NOT NULL,         -- live, candidate, interleaved, shadow
    unit TEXT NOT NULL,         -- hash of the key
    query_hash TEXT NOT NULL,
    query TEXT,                 -- only where queries are logged
    latency_ms REAL NOT NULL,
    position INTEGER NOT NULL,  -- of the first document, from 1
    documents TEXT NOT NULL,    -- JSON: their ids
    teams TEXT,                 -- JSON: the version that brought each, in an interleaved list
    top_score REAL,
    overlap REAL,               -- of a shadow's documents with those of the answer
    error TEXT
) STRICT;
CREATE INDEX searches_by_time ON searches (at);
CREATE INDEX searches_by_phase ON searches (phase) WHERE phase IS NOT NULL;
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    search TEXT NOT NULL,
    at REAL NOT NULL,
    kind TEXT NOT NULL,         -- clicked, used, grade
    document TEXT,              -- JSON: its id; NULL: the whole answer
    position INTEGER,           -- from 1; NULL: it was not in the answer
    version TEXT NOT NULL,
    team TEXT NOT NULL,         -- the version that gets the credit in an interleaved list, or ''
    grade REAL NOT NULL         -- 0 to 1
) STRICT;
CREATE INDEX feedback_by_search ON feedback (search);
CREATE INDEX feedback_by_time ON feedback (at);
"""

Kind = Literal["clicked", "used", "grade"]


@dataclass(frozen=True, slots=True)
class Search:
    """One answered query. ``unit`` and ``query`` are texts here; the file holds their hashes."""

    id: str
    at: float
    version: str
    phase: int | None
    side: str
    unit: str
    query: str
    logged: str | None
    latency_ms: float
    position: int
    documents: tuple[int | str, ...]
    teams: tuple[str, ...] | None = None
    top_score: float | None = None
    overlap: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody did with a result, or said of the whole answer (``document`` None)."""

    search: str
    at: float
    kind: Kind
    document: int | str | None
    grade: float


class Interactions:
    """The file, opened for one thread."""

    def __init__(self, path: Path) -> None:
        """Make the file where there is none. Raises RegistryTooNew for one of a later release."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._conn = sqlite3.connect(path, timeout=30, isolation_level=None)
        self._conn.execute("PRAGMA journal_mode=WAL")
        self._conn.execute("PRAGMA synchronous=NORMAL")  # a crash may cost the last second
        self._make()
        self._salt = bytes(self._conn.execute("SELECT salt FROM meta").fetchone()[0])

    def _make(self) -> None:
        found = self._conn.execute("PRAGMA user_version").fetchone()[0]
        if found > _SCHEMA:
            raise RegistryTooNew(f"{self.path} was written by a newer release of reindex.")
        if found == _SCHEMA:
            return
        self._conn.execute("BEGIN IMMEDIATE")
        if self._conn.execute("PRAGMA user_version").fetchone()[0] == 0:  # still
            for statement in _TABLES.split(";\n"):
                self._conn.execute(statement)
            self._conn.execute("INSERT INTO meta VALUES (1, ?)", [secrets.token_bytes(16)])
            self._conn.execute(f"PRAGMA user_version = {_SCHEMA}")
        self._conn.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._conn.close()

    def hashed(self, text: str) -> str:
        """128 bits that stand for a text in this file; nobody can try texts without it."""
        raw = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(raw, digest_size=16, key=self._salt).hexdigest()

    # -- writing

    def add(self, searches: Sequence[Search], feedback: Sequence[Feedback]) -> list[Feedback]:
        """Write both in one transaction; returns the feedback to searches that are not there."""
        with _Transaction(self._conn):
            self._conn.executemany(
                "INSERT OR IGNORE INTO searches (id, at, version, phase, side, unit, query_hash, "
                "query, latency_ms, position, documents, teams, top_score, overlap, error) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                map(self._search_row, searches),
            )
            return [item for item in feedback if not self._add_feedback(item)]

    def _search_row(self, item: Search) -> tuple[object, ...]:
        teams = None if item.teams is None else json.dumps(item.teams)
        return (
            item.id, item.at, item.version, item.phase, item.side, self.hashed(item.unit),
            self.hashed(item.query), item.logged, item.latency_ms, item.position,
            json.dumps(item.documents), teams, item.top_score, item.overlap, item.error,
        )  # fmt: skip

    def _add_feedback(self, item: Feedback) -> bool:
        row = self._conn.execute(
            "SELECT version, position, documents, teams FROM searches WHERE id = ?", [item.search]
        ).fetchone()
        if row is None:
            return False
        version, first, documents, teams = row[0], row[1], json.loads(row[2]), row[3]
        place = documents.index(item.document) if item.document in documents else None
        team = "" if teams is None or place is None else json.loads(teams)[place]
        self._conn.execute(
            "INSERT INTO feedback (search, at, kind, document, position, version, team, grade) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                item.search, item.at, item.kind,
                None if item.document is None else json.dumps(item.document),
                None if place is None else first + place, team or version, team, item.grade,
            ),
        )  # fmt: skip
        return True

    def prune(self, before: float, most: int) -> int:
        """Forget what is older than ``before``, and the oldest searches above ``most``."""
        with _Transaction(self._conn):
            cursor = self._conn.execute(
                "DELETE FROM searches WHERE at < ? OR number <= "
                "(SELECT coalesce(max(number), 0) FROM searches) - ?",
                (before, most),
            )
            self._conn.execute("DELETE FROM feedback WHERE at < ?", [before])
            if cursor.rowcount:
                self._conn.execute(
                    "DELETE FROM feedback WHERE search NOT IN (SELECT id FROM searches)"
                )
        return cursor.rowcount

    # -- reading

    def execute(self, sql: str, parameters: Iterable[object] = ()) -> sqlite3.Cursor:
        """Read with one statement."""
        return self._conn.execute(sql, tuple(parameters))


class _Transaction:
    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn = conn

    def __enter__(self) -> None:
        self._conn.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._conn.execute("COMMIT" if kind is None else "ROLLBACK")
