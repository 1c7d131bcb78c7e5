"""The dead-letter file: one JSON line per row that could not be used."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from reindex.errors import TooManyBadRows

ROW_LIMIT = 2_000
"""Characters of a bad row that are kept."""


class DeadLetters:
    """Collects bad rows in a JSONL file and stops the run when they are too many.

    A context manager; may be told by several threads. The file appears with the first bad row,
    replaces that of an earlier run, and is written line by line, so that a killed run leaves it
    readable. Each line has ``file``, ``line``, ``reason``, ``id`` (null where it could not be
    read) and ``row``, cut at ``ROW_LIMIT`` characters.

    Args:
        path: The file to write.
        max_share: Largest share of bad rows among all rows, between 0 and 1.
        min_rows: The share counts from this many rows on.
    """

    def __init__(self, path: Path, max_share: float, *, min_rows: int = 100) -> None:
        self.path = path
        self._max_share = max_share
        self._min_rows = min_rows
        self._good = 0
        self._reasons: Counter[str] = Counter()
        self._ids: set[int | str] = set()
        self._out: TextIO | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._out is not None:
            self._out.close()

    def add(
        self, *, file: str, line: int, reason: str, row: str = "", id: int | str | None = None
    ) -> None:
        """Keep the row.

        Raises:
            TooManyBadRows: the share of bad rows is past ``max_share``.
        """
        kept = {"file": file, "line": line, "reason": reason, "id": id, "row": row[:ROW_LIMIT]}
        with self._lock:
            self._file().write(json.dumps(kept) + "\n")
            self._reasons[reason.partition(":")[0]] += 1
            if id is not None:
                self._ids.add(id)
        self._check()

    def ok(self, rows: int = 1) -> None:
        """Count good rows.

        Raises:
            TooManyBadRows: ``min_rows`` is reached now, and the share is past ``max_share``.
        """
        self._good += rows
        if self._reasons:
            self._check()

    @property
    def count(self) -> int:
        """Bad rows so far."""
        return self._reasons.total()

    @property
    def ids(self) -> frozenset[int | str]:
        """The ids of bad rows whose id could be read."""
        return frozenset(self._ids)

    def summary(self) -> str | None:
        """How many rows are bad, the three most frequent reasons and the file; None if none is."""
        bad, rows = self.count, self.count + self._good
        if not bad:
            return None
        reasons = "; ".join(f"{reason} ({n:,})" for reason, n in self._reasons.most_common(3))
        return (
            f"{bad:,} of {rows:,} rows ({bad / rows:.1%}) could not be used: {reasons}. "
            f"They are in {self.path}."
        )

    def _file(self) -> TextIO:
        if self._out is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._out = self.path.open("w", encoding="utf-8", buffering=1)
        return self._out

    def _check(self) -> None:
        rows = self.count + self._good
        if rows >= self._min_rows and self.count > self._max_share * rows:
            raise TooManyBadRows(
                f"{self.summary()} source.max_bad_rows allows {self._max_share:.1%}. "
                "Mend the rows, or raise source.max_bad_rows."
            )


class IgnoredLetters:
    """A sink for readers that only need the good rows: the build reports the bad ones."""

    count = 0
    ids: frozenset[int | str] = frozenset()

    def add(
        self, *, file: str, line: int, reason: str, row: str = "", id: int | str | None = None
    ) -> None:
        """Drop the row."""

    def ok(self, rows: int = 1) -> None:
        """Count nothing."""
