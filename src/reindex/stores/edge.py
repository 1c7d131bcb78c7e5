"""The embedded store: Qdrant Edge, Qdrant's engine within this process."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.diskspace import disk_full, is_disk_full
from reindex.errors import AliasConflict, CollectionNotFound, DiskFull, StoreError, StoreRefused
from reindex.protocols import Catalog
from reindex.records import (
    PREFIX_VECTOR,
    STAMP_KEY,
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
from reindex.stores import edge_requests as requests
from reindex.stores import refuse_options
from reindex.stores.edge_shards import OpenShard, Shards
from reindex.stores.layout import (
    FULL_VECTOR,
    Seen,
    by_seen,
    checked_plan,
    checked_query,
    chunks,
    hit,
    key_of,
    stacked,
    stamped,
    stored_point,
)

if TYPE_CHECKING:
    from reindex.config import Settings

_UNFIT = (ValueError, TypeError, OverflowError)
"""What the engine raises for values that it cannot keep: NaN, dates, half of a surrogate pair."""


def open_store(settings: Settings, catalog: Catalog) -> EdgeStore:
    """The store ``embedded``: shards under ``[store] path``. A `stores.StoreFactory`."""
    refuse_options(settings)
    return EdgeStore(settings.resolve(settings.store.path), catalog)


MIN_FREE = 64 * 2**20
"""Bytes that must be free before a write: a request touches some 5 MB of mapped files and log."""


class EdgeStore:
    """Collections as shard folders under ``root``; aliases, metadata and owners in ``catalog``.

    Implements ``protocols.Store``. A shard has one process at a time: opening one that another
    process holds raises StoreBusy. Shards open on first use and stay open until `close`.
    """

    kind = "embedded"
    local = True

    def __init__(self, root: Path, catalog: Catalog) -> None:
        self._catalog = catalog
        self._root = root
        self._shards = Shards(root, catalog)

    def create(self, spec: CollectionSpec) -> None:
        """Create a collection; a process killed in here leaves none, and the next one succeeds."""
        if spec.name in self._catalog.aliases():
            raise AliasConflict(f"{spec.name!r} is an alias; a collection cannot have its name.")
        self._shards.create(spec)

    def drop(self, name: str) -> None:
        """Delete a collection, also one whose files are damaged or that has no metadata."""
        with self._shards.changing():
            pointing = [alias for alias, target in self.aliases().items() if target == name]
            if pointing:
                raise AliasConflict(
                    f"collection {name!r} is live: alias {pointing[0]!r} points at it. Point the "
                    "alias at another collection first."
                )
            self._shards.remove(name)

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        return self._shards.names()

    def info(self, name: str) -> CollectionInfo:
        """Size and layout from the shard, metadata from the catalog."""
        shape = self._shards.get(name).shape
        metadata = self._catalog.collection_metadata(name) or {}
        points = self.count(name)
        return CollectionInfo(name, points, shape.dim, shape.layout, shape.prefix_dim, metadata)

    def set_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Merge ``metadata`` into the collection's, shallowly."""
        self._shards.get(name)
        self._catalog.merge_collection_metadata(name, metadata)

    def aliases(self) -> dict[str, str]:
        """alias -> physical collection."""
        return self._catalog.aliases()

    def point_alias(self, alias: str, collection: str) -> None:
        """Point ``alias`` at ``collection`` in one transaction of the catalog."""
        with self._shards.changing():
            if not self._shards.exists(collection):
                raise CollectionNotFound(f"there is no collection {collection!r} to point at.")
            if self._shards.exists(alias):
                raise AliasConflict(f"{alias!r} is a collection; an alias cannot have its name.")
            self._catalog.set_alias(alias, collection)

    def insert(self, name: str, points: Sequence[Point]) -> None:
        """Insert-only: points whose id exists already stay untouched."""
        with self._using(name) as held:
            vectors = stacked(name, points, held.shape)
            made = requests.points(points, vectors, held.shape)
            for batch in chunks(made, held.shape.batch):
                self._check_room()
                held.shard.update(requests.insertion(batch))

    def update(
        self, name: str, points: Sequence[Point], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Update-only: overwrites a point only where build and rev are still those of ``seen``."""
        with self._using(name) as held:
            stacked(name, points, held.shape)  # all are checked before the first is written
            for key, group in by_seen(name, points, seen).items():
                for batch in chunks(group, held.shape.batch):
                    self._check_room()
                    made = requests.points(batch, stacked(name, batch, held.shape), held.shape)
                    held.shard.update(requests.replacement(made, key))

    def update_payload(
        self, name: str, changes: Sequence[PayloadChange], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Overwrite payload and stamp, keep the vectors; conditional as ``update``."""
        with self._using(name) as held:
            for key, group in by_seen(name, changes, seen).items():
                self._check_room()
                for change in group:
                    operation = requests.new_payload(change.id, stamped(change), key)
                    held.shard.update(operation)

    def delete(self, name: str, seen: Mapping[PointId, Stamp | None]) -> None:
        """Delete points whose build and rev are still those of ``seen``."""
        groups: dict[Seen, list[PointId]] = {}
        for point_id, stamp in seen.items():
            groups.setdefault(key_of(stamp), []).append(point_id)
        with self._using(name) as held:
            for key, ids in groups.items():
                held.shard.update(requests.deletion(ids, key))

    def retrieve(
        self,
        name: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool = False,
        with_vector: bool = False,
    ) -> dict[PointId, StoredPoint]:
        """The points that exist among ``ids``; the stamp always comes along."""
        wanted = True if with_payload else [STAMP_KEY]
        vectors = [FULL_VECTOR] if with_vector else False
        with self._using(name) as held:
            records = held.shard.retrieve(list(ids), wanted, vectors)
            found = (stored_point(r.id, r.payload, r.vector) for r in records)
            return {point.id: point for point in found}

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
        self._shards.get(name)  # an unknown name is told here, not at the first page
        wanted = True if with_payload else [STAMP_KEY]
        request = {"with_payload": wanted, "with_vector": [FULL_VECTOR] if with_vector else False}
        return self._pages(name, start, limit=page, **request)

    def missing_vectors(self, name: str) -> set[PointId]:
        """Ids of points that lack one of the layout's vectors."""
        shape = self._shards.get(name).shape
        names = [FULL_VECTOR, *([PREFIX_VECTOR] if shape.prefix_dim else [])]
        incomplete = requests.lacking(names)
        pages = self._pages(
            name, limit=1000, filter=incomplete, with_payload=False, with_vector=False
        )
        return {point.id for page in pages for point in page}

    def search(self, name: str, vector: Vector, plan: SearchPlan) -> list[Hit]:
        """Best first. A two-stage plan on a ``single`` layout searches the full vectors."""
        with self._using(name) as held:
            query = checked_query(name, vector, held.shape)
            request = requests.search(query, checked_plan(name, plan), held.shape)
            return [hit(p.id, p.score, p.payload) for p in held.shard.query(request)]

    def count(self, name: str, *, unstamped: bool = False) -> int:
        """Exact number of points; or only of those that bear no stamp, which others wrote."""
        from qdrant_edge import CountRequest

        chosen = requests.unstamped() if unstamped else None
        with self._using(name) as held:
            return held.shard.count(CountRequest(exact=True, filter=chosen))

    def flush(self, name: str) -> None:
        """Make everything written so far durable."""
        with self._using(name) as held:
            held.shard.flush()

    def close(self) -> None:
        """Flush and release every collection; the next use opens it again."""
        self._shards.close()

    def optimize(self, name: str, *, at_least: int) -> bool:
        """Build the graphs of a large collection, before it goes live.

        Runs for minutes per 100,000 points in a child process; meanwhile the collection raises
        StoreBusy here.

        Args:
            name: the collection.
            at_least: below this many points nothing is done.

        Returns:
            Whether it was done.
        """
        if self.count(name) < at_least:
            return False
        self._shards.optimize(name)
        return True

    def _pages(
        self, name: str, start: PointId | None = None, **request: Any
    ) -> Iterator[list[StoredPoint]]:
        from qdrant_edge import ScrollRequest

        offset: Any = start
        while True:
            with self._using(name) as held:
                records, offset = held.shard.scroll(ScrollRequest(offset=offset, **request))
            if records:
                yield [stored_point(r.id, r.payload, r.vector) for r in records]
            if offset is None:
                return

    @contextlib.contextmanager
    def _using(self, name: str) -> Iterator[OpenShard]:
        """The open shard; whatever Edge raises becomes a StoreError with the name."""
        held = self._shards.get(name)
        try:
            yield held
        except (StoreError, DiskFull):
            raise
        except Exception as error:
            if is_disk_full(error):
                raise disk_full(f"Collection {name!r}", self._root, error) from error
            if "not initialized" in str(error):  # another thread closed or dropped it
                raise self._gone(name) from error
            kind = StoreRefused if isinstance(error, _UNFIT) else StoreError
            raise kind(f"collection {name!r}: the embedded engine says: {error}") from error

    def _check_room(self) -> None:
        """Raise DiskFull while there is still room: the engine maps its files into memory, so a
        write without room would not fail, but end the process (SIGBUS).
        """
        free = shutil.disk_usage(self._root).free
        if free < MIN_FREE:
            left = f"{free / 2**20:.0f} MiB free, {MIN_FREE / 2**20:.0f} MiB needed to go on safely"
            raise disk_full("The embedded store", self._root, left)

    def _gone(self, name: str) -> StoreError:
        if self._shards.exists(name):
            return StoreError(f"collection {name!r} was closed while it was in use. Try again.")
        return CollectionNotFound(f"collection {name!r} was dropped while it was in use.")
