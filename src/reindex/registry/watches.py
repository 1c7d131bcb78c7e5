"""The watch over each promotion: its baseline, its progress, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reindex.registry.file import now
from reindex.registry.registry import Registry

WatchState = Literal["baseline", "watching", "rolling back", "rolled back", "healthy", "superseded"]
"""``baseline``: measured at the flip, nobody watches yet. The last three are ends."""

ENDS: tuple[WatchState, ...] = ("rolled back", "healthy", "superseded")


@dataclass(frozen=True, slots=True)
class WatchRecord:
    """One promotion's row."""

    promotion: int
    state: WatchState
    baseline: Mapping[str, Any]
    progress: Mapping[str, Any]
    why: str
    who: str
    taken_at: str
    changed_at: str


class Watches:
    """The table ``watches`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def of(self, promotion: int) -> WatchRecord | None:
        """The row of a promotion, if there is one."""
        row = self._registry.execute(
            "SELECT promotion, state, baseline, progress, why, who, taken_at, changed_at "
            "FROM watches WHERE promotion = ?",
            [promotion],
        ).fetchone()
        if row is None:
            return None
        return WatchRecord(row[0], row[1], json.loads(row[2]), json.loads(row[3]), *row[4:])

    def add(self, promotion: int, baseline: Mapping[str, Any]) -> None:
        """Keep what was measured at the flip; the first one counts."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT OR IGNORE INTO watches (promotion, state, baseline, progress, taken_at, "
                "changed_at) VALUES (?, 'baseline', ?, '{}', ?, ?)",
                (promotion, json.dumps(baseline), now(), now()),
            )

    def save(
        self, promotion: int, baseline: Mapping[str, Any], progress: Mapping[str, Any]
    ) -> None:
        """Write down a round, unless the watch is past watching."""
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE watches SET state = 'watching', baseline = ?, progress = ?, "
                "changed_at = ? WHERE promotion = ? AND state IN ('baseline', 'watching')",
                (json.dumps(baseline), json.dumps(progress), now(), promotion),
            )

    def move(self, promotion: int, to: WatchState, *, why: str = "", who: str = "") -> bool:
        """Go on to a later state, once; whether this did. Nothing leaves an end."""
        with self._registry.transaction():
            cursor = self._registry.execute(
                "UPDATE watches SET state = ?, why = CASE ? WHEN '' THEN why ELSE ? END, "
                "who = CASE ? WHEN '' THEN who ELSE ? END, changed_at = ? "
                "WHERE promotion = ? AND state NOT IN ('rolled back', 'healthy', 'superseded')",
                (to, why, why, who, who, now(), promotion),
            )
        return cursor.rowcount == 1

    def settle(self, rollback: int) -> None:
        """Close what a watch began and a kill kept it from closing: the flip back is recorded."""
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE watches SET state = 'rolled back', changed_at = ? "
                "WHERE state = 'rolling back' AND promotion < ?",
                (now(), rollback),
            )
