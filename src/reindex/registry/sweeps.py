"""What follows a flip: the old collection is looked through for writes that came too late."""

from __future__ import annotations

from dataclasses import dataclass

from reindex.registry import Registry
from reindex.registry.file import now


@dataclass(frozen=True, slots=True)
class Sweep:
    """The sweep of one flip. Points of the new collection above ``rev`` are left alone."""

    promotion: int
    from_collection: str
    to_collection: str
    rev: int
    flipped_at: str
    finished_at: str | None


class Sweeps:
    """The table ``sweeps`` of a registry. A row counts once its flip is done."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def prepare(self, promotion: int, from_collection: str, to_collection: str) -> None:
        """Write down that this flip will need one; again right before the flip."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT INTO sweeps VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (promotion) "
                "DO UPDATE SET rev = excluded.rev, flipped_at = excluded.flipped_at",
                (promotion, from_collection, to_collection, self._registry.next_rev(), now()),
            )

    def open(self) -> list[Sweep]:
        """Sweeps that have not come to their end, oldest first."""
        rows = self._registry.execute(
            "SELECT promotion, sweeps.from_collection, sweeps.to_collection, rev, flipped_at, "
            "sweeps.finished_at FROM sweeps JOIN promotions ON promotions.id = promotion "
            "WHERE state = 'done' AND sweeps.finished_at IS NULL ORDER BY promotion"
        )
        return [Sweep(*row) for row in rows.fetchall()]

    def finish(self, promotion: int) -> None:
        """The sweep is over."""
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE sweeps SET finished_at = ? WHERE promotion = ?", (now(), promotion)
            )
