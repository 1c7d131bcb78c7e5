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
