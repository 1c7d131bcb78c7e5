"""Which flips webhooks were told of: each by one process, by the next where that one died."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from reindex.processes import process_alive
from reindex.registry.file import BUSY_TIMEOUT_S, now
from reindex.registry.ledger import Promotion
from reindex.registry.registry import Registry

NEWS = timedelta(days=1)
"""What is older is no news: whoever adds webhooks to a project is not told its history."""

_TELLING: set[tuple[Path, int]] = set()
"""(registry, promotion) that threads of this process tell of right now."""


class ToldFlips:
    """The table ``told_flips`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def untold(self) -> list[Promotion]:
        """Flips of the last day that nobody told of or is about to, elsewhere; oldest first."""
        since = (datetime.now(UTC) - NEWS).isoformat(timespec="microseconds")
        rows = self._registry.execute(
            "SELECT p.id, p.pid, p.who, p.created_at, t.pid, t.host, t.begun_at "
            "FROM promotions p LEFT JOIN told_flips t ON t.promotion = p.id "
            "WHERE p.state = 'done' AND t.told_at IS NULL AND p.finished_at > ? ORDER BY p.id",
            [since],
        ).fetchall()
        return [
            self._registry.promotion(id)
            for id, pid, who, at, teller, host, begun in rows
            if not _at_work(pid, str(who).rpartition("@")[2], at)
            and (teller is None or not _at_work(teller, host, begun))
        ]

    def claim(self, promotion: int) -> bool:
        """Whether this process tells of a flip; no where one that lives does, or it is told."""
        with self._registry.transaction():
            row = self._registry.execute(
                "SELECT pid, host, begun_at, told_at FROM told_flips WHERE promotion = ?",
                [promotion],
            ).fetchone()
            known = (self._registry.path, promotion)
            if row is not None and (row[3] is not None or known in _TELLING or _at_work(*row[:3])):
                return False
            _TELLING.add(known)
            self._registry.execute(
                "INSERT OR REPLACE INTO told_flips (promotion, pid, host, begun_at) "
                "VALUES (?, ?, ?, ?)",
                [promotion, os.getpid(), socket.gethostname(), now()],
            )
        return True

    def told(self, promotion: int) -> None:
        """All messages of a flip arrived, or were given up."""
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE told_flips SET told_at = ? WHERE promotion = ?", [now(), promotion]
            )
        _TELLING.discard((self._registry.path, promotion))


def _at_work(pid: int, host: str, since: str) -> bool:
    """Whether another process may still be about to tell: one that lives here, or one elsewhere.

    Only for some minutes: numbers of processes are used again, and who tells a little early does
    no harm.
    """
    age = datetime.now(UTC) - datetime.fromisoformat(since)
    if age.total_seconds() > 10 * BUSY_TIMEOUT_S:
        return False
    return host != socket.gethostname() or (pid != os.getpid() and process_alive(pid))
