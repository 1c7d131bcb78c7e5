"""A catalog for stores that keep no aliases and metadata themselves."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any


class MemoryCatalog:
    """Implements ``protocols.Catalog`` with dictionaries."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.state: dict[str, dict[str, Any]] = {"aliases": {}, "metadata": {}, "owners": {}}

    def aliases(self) -> dict[str, str]:
        """alias -> collection."""
        with self.lock:
            return dict(self.state["aliases"])

    def set_alias(self, alias: str, collection: str) -> None:
        """Point the alias."""
        self._put("aliases", alias, collection)

    def collection_metadata(self, name: str) -> dict[str, Any] | None:
        """The metadata kept for a collection, or None."""
        with self.lock:
            found = self.state["metadata"].get(name)
            return None if found is None else dict(found)

    def merge_collection_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Merge shallowly; creates the entry."""
        with self.lock:
            self._put("metadata", name, {**(self.collection_metadata(name) or {}), **metadata})

    def forget_collection(self, name: str) -> None:
        """Remove the metadata."""
        with self.lock:
            self.state["metadata"].pop(name, None)
            self._changed()

    def record_owner(self, name: str, pid: int) -> None:
        """Remember which process holds the collection."""
        self._put("owners", name, pid)

    def owner(self, name: str) -> int | None:
        """The pid that was last recorded, if any."""
        with self.lock:
            return self.state["owners"].get(name)

    def project_owner(self) -> str | None:
        """Nobody: there is no project."""
        return None

    def _put(self, table: str, key: str, value: Any) -> None:
        with self.lock:
            self.state[table][key] = value
            self._changed()

    def _changed(self) -> None:
        """For subclasses that keep the state."""
