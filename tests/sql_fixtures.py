"""A SQLite database as an application keeps it: the table ``articles``."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

QUERY = "SELECT id, title, body, tenant FROM articles ORDER BY id"
SOURCE: dict[str, Any] = {
    "kind": "sql",
    "url": "sqlite:///app.db",
    "query": QUERY,
    "id_field": "id",
    "text_fields": ["title", "body"],
}


@contextlib.contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """The application's connection; commits at the end."""
    connection = sqlite3.connect(folder / "app.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS articles (id PRIMARY KEY, title, body, tenant DEFAULT 'a')"
    )
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def put(folder: Path, rows: Iterable[tuple[Any, Any]], *, tenant: str = "a") -> None:
    """Insert or replace articles: (id, body)."""
    with database(folder) as db:
        db.executemany(
            "INSERT OR REPLACE INTO articles VALUES (?, ?, ?, ?)",
            ((id, f"title {id}", body, tenant) for id, body in rows),
        )


def remove(folder: Path, *ids: Any) -> None:
    with database(folder) as db:
        db.executemany("DELETE FROM articles WHERE id = ?", ((id,) for id in ids))


NOTES: dict[str, Any] = {
    "kind": "sql",
    "url": "sqlite:///app.db",
    "query": "SELECT id, text, tenant FROM notes ORDER BY id",
    "id_field": "id",
    "text_fields": ["text"],
}
"""As `SOURCE`, of a table whose rows are the payloads as they are."""


def put_notes(folder: Path, rows: Iterable[tuple[Any, Any, Any]]) -> None:
    """Insert or replace notes: (id, text, tenant)."""
    with database(folder) as db:
        db.execute("CREATE TABLE IF NOT EXISTS notes (id PRIMARY KEY, text, tenant)")
        db.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?, ?)", rows)


def remove_notes(folder: Path, *ids: Any) -> None:
    with database(folder) as db:
        db.executemany("DELETE FROM notes WHERE id = ?", ((id,) for id in ids))
