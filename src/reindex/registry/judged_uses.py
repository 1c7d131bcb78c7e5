"""How often a judged set was looked at, by comparisons and by everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reindex.registry.file import now
from reindex.registry.registry import Registry

Purpose = Literal["early look", "model", "advice", "trials", "benchmark"]
"""What a look was for, beside comparisons of built versions, which have a table of their own."""

_COLUMNS = "judged_set, purpose, name, looks, details, created_at"


@dataclass(frozen=True, slots=True)
class JudgedUse:
    """A look, or several. ``name`` is the version or the model; ``details`` what was seen."""

    judged_set: str
    purpose: str
    name: str
    looks: int
    details: Mapping[str, Any]
    created_at: str


class JudgedUses:
    """The table ``judged_set_uses`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(
        self, judged_set: str, purpose: Purpose, name: str = "", *, looks: int = 1,
        details: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """Record looks. ``judged_set`` is `reindex.evaluation.compare.judged_set_hash`."""
        seen = json.dumps(details or {}, sort_keys=True)
        with self._registry.transaction():
            self._registry.execute(
                f"INSERT INTO judged_set_uses ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
                (judged_set, purpose, name, looks, seen, now()),
            )

    def count(self, judged_set: str) -> int:
        """All looks at a set so far, comparisons included."""
        return self._registry.judged_set_uses(judged_set)

    def of(self, judged_set: str) -> list[JudgedUse]:
        """The looks at a set, oldest first."""
        rows = self._registry.execute(
            f"SELECT {_COLUMNS} FROM judged_set_uses WHERE judged_set = ? ORDER BY id",  # noqa: S608
            [judged_set],
        ).fetchall()
        return [
            JudgedUse(judged_set, purpose, name, looks, json.loads(details), created_at)
            for judged_set, purpose, name, looks, details, created_at in rows
        ]
