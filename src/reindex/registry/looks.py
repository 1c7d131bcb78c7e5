"""How often a judged set was looked at: every choice by it makes its next figure less honest."""

from __future__ import annotations

from reindex.registry.file import now
from reindex.registry.registry import Registry


class Looks:
    """The table ``judged_looks`` of a registry, and the comparisons beside it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(self, judged_set: str, purpose: str, looks: int = 1) -> None:
        """Write down that figures of a judged set were looked at (``advice``, ``trials``)."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT INTO judged_looks (judged_set, purpose, looks, at) VALUES (?, ?, ?, ?)",
                (judged_set, purpose, looks, now()),
            )

    def count(self, judged_set: str) -> int:
        """All looks at a judged set so far, comparisons included."""
        return self._registry.judged_set_uses(judged_set)
