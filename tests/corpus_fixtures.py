"""What the corpus tests share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reindex.config import SourceSettings
from reindex.corpus.sources import open_source
from reindex.records import Document


@dataclass
class Heap:
    """A sink that keeps the bad rows in memory and never stops."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    good: int = 0

    def add(
        self, *, file: str, line: int, reason: str, row: str = "", id: int | str | None = None
    ) -> None:
        self.rows.append({"file": file, "line": line, "reason": reason, "row": row, "id": id})

    def ok(self, rows: int = 1) -> None:
        self.good += rows

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def ids(self) -> frozenset[int | str]:
        return frozenset(row["id"] for row in self.rows if row["id"] is not None)

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(row["line"], row["reason"].partition(":")[0]) for row in self.rows]


def read(root: Path, **settings: Any) -> tuple[list[Document], Heap]:
    """All documents of a source under ``root``, and what was bad."""
    dead = Heap()
    source = open_source(SourceSettings(**settings), root)
    return list(source.documents(dead)), dead
