"""What trainings have seen: sketches of their queries and positives, by version and its bases."""

from __future__ import annotations

from typing import Literal

from reindex.errors import UnknownVersion
from reindex.registry import Registry

Role = Literal["query", "positive"]


class Lineage:
    """The table ``training_sketches`` of a registry, and the way from a version to its bases."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def record(self, version: str, role: Role, sketches: bytes) -> None:
        """Keep what a training has seen; a training that is recorded again replaces it."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT OR REPLACE INTO training_sketches VALUES (?, ?, ?)",
                (version, role, sketches),
            )

    def sketches(self, version: str, role: Role) -> bytes | None:
        """What was kept; None where the training kept none."""
        row = self._registry.execute(
            "SELECT sketches FROM training_sketches WHERE version = ? AND role = ?",
            (version, role),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def trained(self, version: str) -> list[str]:
        """The version and those that it goes on from, or joins, as far as they were fine-tuned."""
        found: list[str] = []
        waiting, seen = [version], set()
        while waiting:
            if (name := waiting.pop(0)) in seen:
                continue
            seen.add(name)
            try:
                known = self._registry.version(name)
            except UnknownVersion:
                continue
            if known.kind == "fine-tuned":
                found.append(name)
            waiting += known.recipe["members"] if known.kind == "ensemble" else [known.base]
        return found
