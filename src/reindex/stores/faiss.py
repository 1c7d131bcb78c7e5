"""FAISS beside SQLite: the store ``faiss``, which needs the ``[faiss]`` extra.

SQLite holds everything (ids, stamps, payloads, vectors, aliases); FAISS holds in memory what a
search scans, and each process brings its own index up to date before it searches. So there is
nothing that two files could disagree about, and any number of processes may read and write.
"""

from __future__ import annotations

import contextlib
import importlib.util
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.errors import AliasConflict, CollectionExists, CollectionNotFound, MissingExtra
from reindex.point_ids import just_before, pack_id
from reindex.records import (
    CollectionInfo,
    CollectionSpec,
    Hit,
    PayloadChange,
    Point,
    PointId,
    SearchPlan,
    Stamp,
    StoredPoint,
    Vector,
)
from reindex.stores import refuse_options
from reindex.stores.faiss_collection import CollectionFile
from reindex.stores.faiss_tables import CatalogFile, Entry, translated
from reindex.stores.layout import Shape, checked_plan, checked_query, stacked

if TYPE_CHECKING:
    from reindex.config import Settings
    from reindex.protocols import Catalog


def open_store(settings: Settings, catalog: Catalog) -> FaissStore:  # noqa: ARG001
    """The store ``faiss``, under ``[store] path``. A `stores.StoreFactory`."""
    refuse_options(settings)
    return FaissStore(settings.resolve(settings.store.path))


class FaissStore:
    """Collections as SQLite files under ``folder``, searched by FAISS. See ``protocols.Store``.

    Raises:
        MissingExtra: faiss is not installed.
    """

    kind = "faiss"
    local = True

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("faiss") is None:
            raise MissingExtra("faiss", "faiss-cpu")
        self._folder = folder
        self._lock = threading.RLock()
        self._catalog: CatalogFile | None = None
        self._open: dict[str, CollectionFile] = {}

    def create(self, spec: CollectionSpec) -> None:
        """Create a collection; a process killed in here leaves none."""
        Shape.of(spec)
        with self._cataloged("create") as catalog, catalog.changing():
            if spec.name in catalog.aliases():
                raise AliasConflict(
                    f"{spec.name!r} is an alias; a collection cannot have its name."
                )
            if catalog.entry(spec.name) is not None:
                raise CollectionExists(f"there is a collection {spec.name!r} in {self._folder}.")
            catalog.add(spec)

    def drop(self, name: str) -> None:
        """Delete a collection that no alias points at."""
        with self._cataloged("drop") as catalog:
            with catalog.changing():
                entry = self._entry(name)
                pointing = [alias for alias, to in catalog.aliases().items() if to == name]
                if pointing:
                    raise AliasConflict(
                        f"collection {name!r} is live: alias {pointing[0]!r} points at it. Point "
                        "the alias at another collection first."
                    )
                catalog.remove(name)
            held = self._open.pop(entry.file, None)
            if held is not None:
                held.close()
            catalog.unlink(entry.file)

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        with self._cataloged("collections") as catalog:
            return catalog.names()

    def info(self, name: str) -> CollectionInfo:
        """Size, layout and metadata."""
        with self._using(name) as held:
            shape, metadata = held.shape, self._entry(name).metadata
            return CollectionInfo(
                name, held.count(), shape.dim, shape.layout, shape.prefix_dim, metadata
            )

    def set_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Merge ``metadata`` into the collection's, shallowly."""
        with self._cataloged("set_metadata") as catalog, catalog.changing():
            self._entry(name)
            catalog.merge_metadata(name, metadata)

    def aliases(self) -> dict[str, str]:
        """alias -> physical collection."""
        with self._cataloged("aliases") as catalog:
            return catalog.aliases()

    def point_alias(self, alias: str, collection: str) -> None:
        """Point ``alias`` at ``collection`` in one transaction."""
        with self._cataloged("point_alias") as catalog, catalog.changing():
            self._entry(collection)
            if catalog.entry(alias) is not None:
                raise AliasConflict(f"{alias!r} is a collection; an alias cannot have its name.")
            catalog.set_alias(alias, collection)

    def insert(self, name: str, points: Sequence[Point]) -> None:
        """Insert-only: points whose id exists already stay untouched. All or nothing."""
        with self._using(name) as held:
            held.insert(points, stacked(name, points, held.shape))

    def update(
        self, name: str, points: Sequence[Point], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Update-only: overwrites a point only where build and rev are still those of ``seen``."""
        with self._using(name) as held:
            held.update(points, stacked(name, points, held.shape), seen)

    def update_payload(
        self, name: str, changes: Sequence[PayloadChange], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Overwrite payload and stamp, keep the vectors; conditional as ``update``."""
        with self._using(name) as held:
            held.update_payload(changes, seen)

    def delete(self, name: str, seen: Mapping[PointId, Stamp | None]) -> None:
        """Delete points whose build and rev are still those of ``seen``."""
        with self._using(name) as held:
            held.delete(seen)

    def retrieve(
        self,
        name: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool = False,
        with_vector: bool = False,
    ) -> dict[PointId, StoredPoint]:
        """The points that exist among ``ids``; the stamp always comes along."""
        with self._using(name) as held:
            return held.retrieve(ids, with_payload=with_payload, with_vector=with_vector)

    def scroll(
        self,
        name: str,
        *,
        page: int = 1000,
        with_payload: bool = False,
        with_vector: bool = False,
        start: PointId | None = None,
    ) -> Iterator[list[StoredPoint]]:
        """All points in pages, ids ascending: integers first, then UUIDs."""
        with self._using(name):  # an unknown name is told here, not at the first page
            return self._pages(
                name, page, start, with_payload=with_payload, with_vector=with_vector
            )

    def missing_vectors(self, name: str) -> set[PointId]:
        """None: a point and its vector are written in one transaction, prefixes derived from it."""
        with self._using(name):
            return set()

    def search(self, name: str, vector: Vector, plan: SearchPlan) -> list[Hit]:
        """Best first; both stages are exact. Searches of one process take turns."""
        with self._using(name) as held:
            query = checked_query(name, vector, held.shape)
            return held.search(query, checked_plan(name, plan))

    def count(self, name: str, *, unstamped: bool = False) -> int:
        """Exact number of points. Nobody else writes here, so all bear a stamp."""
        with self._using(name) as held:
            return 0 if unstamped else held.count()

    def flush(self, name: str) -> None:
        """Make everything written so far survive a power cut; a kill it survives as it is."""
        with self._using(name) as held:
            held.flush()

    def close(self) -> None:
        """Close all files; the next use opens them again."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()
            if self._catalog is not None:
                self._catalog.close()
                self._catalog = None

    def _pages(
        self, name: str, size: int, start: PointId | None, **wanted: bool
    ) -> Iterator[list[StoredPoint]]:
        after = b"" if start is None else just_before(pack_id(start))
        while True:
            with self._using(name) as held:
                points = held.page(after, size, **wanted)
            if not points:
                return
            yield points
            after = pack_id(points[-1].id)

    @contextlib.contextmanager
    def _cataloged(self, doing: str) -> Iterator[CatalogFile]:
        with self._lock, translated(f"{self._folder} ({doing})"):
            if self._catalog is None:
                self._catalog = CatalogFile(self._folder)
            yield self._catalog

    @contextlib.contextmanager
    def _using(self, name: str) -> Iterator[CollectionFile]:
        """The collection as the catalog has it now, opened on first use; one thread at a time."""
        with self._cataloged(name), translated(f"collection {name!r}"):
            entry = self._entry(name)
            if entry.file not in self._open:
                self._open[entry.file] = CollectionFile(
                    name, self._folder / entry.file, entry.shape
                )
            yield self._open[entry.file]

    def _entry(self, name: str) -> Entry:
        entry = self._catalog.entry(name) if self._catalog else None
        if entry is None:
            raise CollectionNotFound(f"there is no collection {name!r} in {self._folder}.")
        return entry
