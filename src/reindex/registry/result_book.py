"""What both sides of a comparison found, unjudged comparisons, and queries kept out of training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reindex.registry import Registry
from reindex.registry.file import now


@dataclass(frozen=True, slots=True)
class StoredUnjudged:
    """A comparison on queries without judgements. ``result`` is its JSON form."""

    id: int
    live: str
    candidate: str
    live_collection: str
    live_build: str
    candidate_collection: str
    candidate_build: str
    query_set: str
    result: dict[str, Any]
    created_at: str


_NAMES = ", ".join(StoredUnjudged.__slots__)


class ResultBook:
    """The tables ``comparison_results``, ``unjudged_comparisons`` and ``held_out_queries``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def keep(self, comparison: int, packed: bytes) -> None:
        """Keep a judged comparison's results."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT INTO comparison_results VALUES (?, ?)", (comparison, packed)
            )

    def of(self, comparison: int) -> bytes | None:
        """A judged comparison's results; None where they were not kept."""
        return self._packed(
            "SELECT results FROM comparison_results WHERE comparison = ?", comparison
        )

    def add_unjudged(self, packed: bytes, **values: Any) -> StoredUnjudged:
        """Record an unjudged comparison."""
        row: dict[str, Any] = {**values, "results": packed, "created_at": now()}
        row["result"] = json.dumps(row["result"], sort_keys=True)
        names, marks = ", ".join(row), ", ".join("?" for _ in row)
        with self._registry.transaction():
            made = self._registry.execute(
                f"INSERT INTO unjudged_comparisons ({names}) VALUES ({marks})",  # noqa: S608
                row.values(),
            )
            identity = made.lastrowid
        return next(item for item in self.unjudged() if item.id == identity)

    def unjudged(self, candidate_collection: str | None = None) -> list[StoredUnjudged]:
        """Unjudged comparisons, newest first, of one candidate or of all."""
        rows = self._registry.execute(
            f"SELECT {_NAMES} FROM unjudged_comparisons "  # noqa: S608
            "WHERE ? IS NULL OR candidate_collection = ? ORDER BY id DESC",
            (candidate_collection, candidate_collection),
        ).fetchall()
        return [_unjudged(dict(zip(StoredUnjudged.__slots__, row, strict=True))) for row in rows]

    def of_unjudged(self, identity: int) -> bytes | None:
        """An unjudged comparison's results."""
        return self._packed("SELECT results FROM unjudged_comparisons WHERE id = ?", identity)

    def _packed(self, sql: str, identity: int) -> bytes | None:
        row = self._registry.execute(sql, [identity]).fetchone()
        return None if row is None else bytes(row[0])

    def hold_out(self, hashes: Iterable[str]) -> None:
        """Keep these queries (`reindex.records.query_hash`) out of every training from now on."""
        since = now()
        self._registry.execute_many(
            "INSERT OR IGNORE INTO held_out_queries VALUES (?, ?)",
            [(item, since) for item in hashes],
        )

    def held_out(self) -> set[str]:
        """The hashes of the queries that no training may see."""
        return {row[0] for row in self._registry.execute("SELECT hash FROM held_out_queries")}


def _unjudged(row: Mapping[str, Any]) -> StoredUnjudged:
    return StoredUnjudged(**{**row, "result": json.loads(row["result"])})
