"""What a conformance test knows about the store under test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reindex.protocols import Store
from reindex.records import Layout, PointId
from reindex.testing.points import spec

WriteRaw = Callable[[str, PointId, dict[str, list[float]], dict[str, Any]], None]


@dataclass
class World:
    """A store under test, with what only its author knows how to do.

    Attributes:
        store: empty, unless it is shared: then no collection begins with ``prefix``.
        prefix: begins the names of all collections and aliases that a test makes.
        write_raw: writes ``(collection, id, {"": full, "prefix": short}, payload)`` as another
            client of the engine would, past reindex; None where there can be none.
        reopen: opens what ``store`` has flushed through another store object, as the next process
            would (``store`` may be closed for it); None where nothing is kept.
        threads: whether several threads may use ``store`` at once. Only stores for tests may not.
    """

    store: Store
    prefix: str = ""
    write_raw: WriteRaw | None = None
    reopen: Callable[[], Store] | None = None
    threads: bool = True

    def name(self, name: str = "c") -> str:
        """``name`` as it is called in the store."""
        return self.prefix + name

    def made(self, name: str = "c", layout: Layout = "two-stage", **metadata: Any) -> str:
        """Create an empty collection; its name in the store."""
        self.store.create(spec(self.name(name), layout, **metadata))
        return self.name(name)

    def ids(self, name: str) -> list[PointId]:
        """All ids, as `scroll` gives them."""
        return [p.id for page in self.store.scroll(name) for p in page]
