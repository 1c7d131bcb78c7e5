"""Who looked at a comparison and said yes, before the alias may move."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from reindex.registry import Registry
from reindex.registry.file import now
from reindex.registry.ledger import BuiltCollection


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval, of one build and one comparison (None: nothing was live to compare with, or
    the gate does without a judged one). One that was revoked counts no more.
    """

    id: int
    version: str
    collection: str
    build: str
    encoding: str
    comparison: int | None
    approved_by: str
    who: str
    note: str
    approved_at: str
    revoked_by: str | None = None
    revoked_at: str | None = None


_NAMES = ", ".join(item.name for item in fields(Approval))


class Approvals:
    """The table ``approvals`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(
        self, built: BuiltCollection, comparison: int | None, *, by: str, who: str, note: str
    ) -> Approval:
        """Write down that ``by`` approves this build upon this comparison."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT INTO approvals (version, collection, build, encoding, comparison, "
                "approved_by, who, note, approved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (built.version, built.name, built.build, built.encoding, comparison, by, who,
                 note, now()),
            )  # fmt: skip
            return self._rows("ORDER BY id DESC LIMIT 1")[0]

    def of(self, built: BuiltCollection, comparison: int | None) -> Approval | None:
        """The last approval of exactly this build and comparison."""
        found = self._rows(
            "WHERE collection = ? AND build = ? AND encoding = ? AND comparison IS ? "
            "AND revoked_at IS NULL ORDER BY id DESC LIMIT 1",
            built.name, built.build, built.encoding, comparison,
        )  # fmt: skip
        return found[0] if found else None

    def revoke(self, collection: str, *, by: str) -> list[Approval]:
        """Take back every approval of a collection that still counts; returns them as they were."""
        with self._registry.transaction():
            found = self._rows("WHERE collection = ? AND revoked_at IS NULL", collection)
            self._registry.execute(
                "UPDATE approvals SET revoked_by = ?, revoked_at = ? "
                "WHERE collection = ? AND revoked_at IS NULL",
                (by, now(), collection),
            )
        return found

    def all(self) -> list[Approval]:
        """All of them, newest first."""
        return self._rows("ORDER BY id DESC")

    def _rows(self, where: str, *values: Any) -> list[Approval]:
        sql = f"SELECT {_NAMES} FROM approvals {where}"  # noqa: S608 (own words)
        return [Approval(*row) for row in self._registry.execute(sql, values).fetchall()]
