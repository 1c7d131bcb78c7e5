"""Which batches of single writes are journaled already, by the key that their sender chose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from reindex.errors import WriteRefused
from reindex.registry.registry import Registry

KEPT = timedelta(days=1)
"""Nobody sends a batch again after so long."""


class WriteKeys:
    """The registry's table of write keys. To be used in the transaction that journals."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def revs(self, key: str, digest: str) -> list[int] | None:
        """The revs under which the batch was journaled, or None.

        Raises:
            WriteRefused: another batch came under this key.
        """
        row = self._registry.execute(
            "SELECT first_rev, last_rev, digest FROM write_keys WHERE key = ?", [key]
        ).fetchone()
        if row is None:
            return None
        if row[2] not in ("", digest):
            raise WriteRefused(
                "Other writes came under this key within the last day: a key is for sending the "
                "same writes again. Give every batch its own. Nothing more of this call was "
                "written."
            )
        return list(range(row[0], row[1] + 1))

    def remember(self, key: str, revs: Sequence[int], digest: str) -> None:
        """Write down that the batch is journaled, under consecutive revs."""
        moment = datetime.now(UTC)
        with self._registry.transaction():
            old = (moment - KEPT).isoformat(timespec="microseconds")
            self._registry.execute("DELETE FROM write_keys WHERE at < ?", [old])
            self._registry.execute(
                "INSERT INTO write_keys (key, first_rev, last_rev, at, digest) "
                "VALUES (?, ?, ?, ?, ?)",
                (key, revs[0], revs[-1], moment.isoformat(timespec="microseconds"), digest),
            )
