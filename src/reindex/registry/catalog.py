"""What the embedded store keeps in the registry: aliases, metadata and owners of its shards.

Because they stand in one SQLite file with the promotions, a flip is one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reindex.registry import Registry
from reindex.registry.file import now
from reindex.registry.owners import OwnerBook


class RegistryCatalog:
    """Implements `reindex.protocols.Catalog` over a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def aliases(self) -> dict[str, str]:
        """alias -> collection."""
        return dict(self._registry.execute("SELECT alias, collection FROM aliases"))

    def set_alias(self, alias: str, collection: str) -> None:
        """Point the alias, in the caller's transaction if there is one."""
        with self._registry.transaction():
            self._registry.execute(
                "INSERT INTO aliases VALUES (?, ?, ?) ON CONFLICT (alias) DO UPDATE "
                "SET collection = excluded.collection, changed_at = excluded.changed_at",
                (alias, collection, now()),
            )

    def collection_metadata(self, name: str) -> dict[str, Any] | None:
        """The metadata kept for a collection, or None."""
        row = self._registry.execute(
            "SELECT metadata FROM shards WHERE collection = ?", [name]
        ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def merge_collection_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Merge shallowly; creates the entry."""
        with self._registry.transaction():
            merged = {**(self.collection_metadata(name) or {}), **metadata}
            self._registry.execute(
                "INSERT INTO shards (collection, metadata) VALUES (?, ?) "
                "ON CONFLICT (collection) DO UPDATE SET metadata = excluded.metadata",
                (name, json.dumps(merged, sort_keys=True)),
            )

    def forget_collection(self, name: str) -> None:
        """Remove the metadata."""
        with self._registry.transaction():
            self._registry.execute("DELETE FROM shards WHERE collection = ?", [name])

    def record_owner(self, name: str, pid: int) -> None:
        """Remember which process holds the collection's shard."""
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE shards SET owner_pid = ?, owner_since = ? WHERE collection = ?",
                (pid, now(), name),
            )

    def owner(self, name: str) -> int | None:
        """The pid that was last recorded, if any."""
        row = self._registry.execute(
            "SELECT owner_pid FROM shards WHERE collection = ?", [name]
        ).fetchone()
        return None if row is None else row[0]

    def project_owner(self) -> str | None:
        """Another process that has the whole store, described; see `registry.owners`."""
        found = OwnerBook(self._registry).other()
        return None if found is None else str(found)
