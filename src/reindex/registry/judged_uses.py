"""How often a judged set was looked at, by comparisons and by everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reindex.registry.file import now
from reindex.registry.registry import Registry

Purpose = Literal["early look", "model", "tune"]
"""What a look was for, beside comparisons of built versions, which have a table of their own."""


@dataclass(frozen=True, slots=True)
class JudgedUse:
    """One look. ``name`` is the version or the model; ``details`` what was seen."""

    judged_set: str
    purpose: str
    name: str
    details: Mapping[str, Any]
    created_at: str


class JudgedUses:
    """The table ``judged_set_uses`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(self, judged_set: str, purpose: Purpose, name: str, details: Mapping[str, Any]) -> None:
        """Record a look. ``judged_set`` is `reindex.evaluation.compare.judged_set_hash`."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT INTO judged_set_uses (judged_set, purpose, name, details, created_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (judged_set, purpose, name, json.dumps(details, sort_keys=True), now()),
            )

    def of(self, judged_set: str) -> list[JudgedUse]:
        """The looks at a set, oldest first."""
        rows = self._registry.execute(
            "SELECT judged_set, purpose, name, details, created_at FROM judged_set_uses "
            "WHERE judged_set = ? ORDER BY id",
            [judged_set],
        ).fetchall()
        return [
            JudgedUse(judged_set, purpose, name, json.loads(details), created_at)
            for judged_set, purpose, name, details, created_at in rows
        ]
