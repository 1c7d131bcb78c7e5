"""The store on a Qdrant server or cluster. The only module that imports qdrant_client."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from reindex.errors import (
    AliasConflict,
    CollectionExists,
    CollectionNotFound,
    StoreError,
)
from reindex.records import (
    CollectionDescription,
    CollectionInfo,
    CollectionSpec,
    Copied,
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
from reindex.stores import server_requests as requests
from reindex.stores.layout import (
    Seen,
    Shape,
    by_seen,
    checked_plan,
    checked_query,
    chunks,
    hit,
    key_of,
    stacked,
    stored_point,
)
from reindex.stores.retry import Retry
from reindex.stores.server_carry import Carrier, creation
from reindex.stores.server_connection import Connection, check_version
from reindex.stores.server_models import (
    model_filter,
    most_points,
    payload_overwrite,
    point_structs,
    search_request,
)
from reindex.stores.server_slices import Sliced
from reindex.stores.server_vectors import Keep, OtherVectors

if TYPE_CHECKING:
    from qdrant_client import QdrantClient

    from reindex.config import Settings
    from reindex.protocols import Catalog, SharedStore


def open_store(settings: Settings, catalog: Catalog) -> ServerStore:  # noqa: ARG001
    """The store ``server``, which keeps its own catalog. A `stores.StoreFactory`."""
    from reindex.stores.server_client import connect

    refuse_options(settings)
    return connect(settings.qdrant, settings.qdrant_api_key())


class ServerStore(Sliced):
    """Collections, aliases and metadata of a Qdrant server. Implements ``protocols.Store``.

    Every write waits until it is applied. A request whose failure may pass is tried again: safe,
    because inserts keep what exists, and all other writes depend on the stamp that they replace.

    Args:
        client: a connected client; `close` closes it.
        attempts: tries per request.
        sleep: waits between the tries.
        ordering: of concurrent writes on a shard's copies; None is the server's default.
        reopen: opens the same store in another process, and can be pickled.
    """

    kind = "server"
    local = False

    def __init__(
        self,
        client: QdrantClient,
        *,
        attempts: int,
        sleep: Callable[[float], None] = time.sleep,
        ordering: str | None = None,
        reopen: Callable[[], SharedStore] | None = None,
    ) -> None:
        self._client, self._reopen = client, reopen
        connection = Connection(Retry(attempts, sleep), self._forget, ordering)
        self._read, self._write = connection.read, connection.write
        self._carrier = Carrier(client, connection)
        self._other_vectors = OtherVectors(client, connection)
        self._shapes: dict[str, Shape] = {}
        self._others: dict[str, tuple[str, ...]] = {}
        self._indexed: set[str] = set()
        self.version = str(self._read(None, client.info).version)
        check_version(self.version)

    def create(self, spec: CollectionSpec) -> None:
        """Create a collection: one request, so it is there whole or not at all."""
        shape = Shape.of(spec)
        if spec.name in self.aliases():
            raise AliasConflict(f"{spec.name!r} is an alias; a collection cannot have its name.")
        if spec.name in self.collections():
            raise CollectionExists(f"there is a collection {spec.name!r} already.")
        metadata = {**spec.metadata, **({requests.VECTOR: spec.vector} if spec.vector else {})}
        request = partial(
            self._client.create_collection, spec.name, metadata=metadata,
            **creation(shape, spec.like, spec.placement),
        )  # fmt: skip
        try:
            self._read(spec.name, request)
        except StoreError:
            # a first try may have succeeded and its answer been lost
            if spec.name not in self.collections():
                raise
            if self.info(spec.name).metadata != metadata:
                raise CollectionExists(f"somebody else created {spec.name!r} just now.") from None

    def drop(self, name: str) -> None:
        """Delete a collection. Qdrant would silently delete its aliases, so those are refused."""
        self._shape(name)
        pointing = [alias for alias, target in self.aliases().items() if target == name]
        if pointing:
            raise AliasConflict(
                f"collection {name!r} is live: alias {pointing[0]!r} points at it. Point the "
                "alias at another collection first."
            )
        self._read(name, partial(self._client.delete_collection, name))
        self._forget(name)

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        answer = self._read(None, self._client.get_collections)
        return sorted(one.name for one in answer.collections)

    def info(self, name: str) -> CollectionInfo:
        """Size, layout and metadata."""
        shape = self._shape(name)
        config = self._read(name, partial(self._client.get_collection, name)).config
        points = self.count(name)
        metadata = dict(config.metadata or {})
        return CollectionInfo(
            name, points, shape.dim, shape.layout, shape.prefix_dim, metadata, shape.vector,
            shape.distance,
        )  # fmt: skip

    def set_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Merge ``metadata`` into the collection's, shallowly (as the server itself does)."""
        self._check_exists(name)
        self._read(name, partial(self._client.update_collection, name, metadata=dict(metadata)))
        self._shapes.pop(name, None)  # they say which vector is ours

    def aliases(self) -> dict[str, str]:
        """alias -> physical collection."""
        answer = self._read(None, self._client.get_aliases)
        return {one.alias_name: one.collection_name for one in answer.aliases}

    def point_alias(self, alias: str, collection: str) -> None:
        """Point ``alias`` at ``collection``: a single operation, which overwrites, read back.

        A list of delete and create would be applied step by step, without a way back.
        """
        from qdrant_client import models

        self._shape(collection)
        if alias in self.collections():
            raise AliasConflict(f"{alias!r} is a collection; an alias cannot have its name.")
        target = models.CreateAlias(collection_name=collection, alias_name=alias)
        change = [models.CreateAliasOperation(create_alias=target)]
        self._read(collection, partial(self._client.update_collection_aliases, change))
        found = self.aliases().get(alias)
        if found != collection:
            raise AliasConflict(
                f"alias {alias!r} was pointed at {collection!r}, but reads back as {found!r}: "
                "somebody else moves it, too."
            )

    def insert(self, name: str, points: Sequence[Point]) -> None:
        """Insert-only: points whose id exists already stay untouched."""
        from qdrant_client import models

        shape = self._shape(name)
        stacked(name, points, shape)  # all are checked before the first is written
        for batch in chunks(points, shape.batch):
            made = point_structs(name, batch, shape)
            mode = models.UpdateMode.INSERT_ONLY
            self._write(name, partial(self._client.upsert, name, made, update_mode=mode))

    def update(
        self, name: str, points: Sequence[Point], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Update-only: overwrites a point only where build and rev are still those of ``seen``.

        Vectors that the project does not own stay.
        """
        from qdrant_client import models

        shape = self._shape(name)
        stacked(name, points, shape)
        self._index_stamps(name)
        upsert = partial(self._client.upsert, update_mode=models.UpdateMode.UPDATE_ONLY)
        for key, group in by_seen(name, points, seen).items():
            condition = model_filter(requests.unchanged(key))
            for batch in chunks(group, shape.batch):
                made = point_structs(name, batch, shape)
                for part in self._beside(name, made):
                    self._write(name, partial(upsert, name, part, update_filter=condition))

    def update_payload(
        self, name: str, changes: Sequence[PayloadChange], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Overwrite payload and stamp, keep the vectors; conditional as ``update``."""
        shape = self._shape(name)
        self._index_stamps(name)
        operations = [
            payload_overwrite(change, key)
            for key, group in by_seen(name, changes, seen).items()
            for change in group
        ]
        for batch in chunks(operations, shape.batch):
            self._write(name, partial(self._client.batch_update_points, name, batch))

    def delete(self, name: str, seen: Mapping[PointId, Stamp | None]) -> None:
        """Delete points whose build and rev are still those of ``seen``."""
        self._shape(name)
        self._index_stamps(name)
        groups: dict[Seen, list[PointId]] = {}
        for point_id, stamp in seen.items():
            groups.setdefault(key_of(stamp), []).append(point_id)
        for key, ids in groups.items():
            for batch in chunks(ids, requests.READ_BATCH):
                doomed = model_filter(requests.unchanged(key, batch))
                self._write(name, partial(self._client.delete, name, doomed))

    def retrieve(
        self,
        name: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool = False,
        with_vector: bool = False,
    ) -> dict[PointId, StoredPoint]:
        """The points that exist among ``ids``; the stamp always comes along."""
        slot = self._shape(name).vector
        wanted = requests.wanted(with_payload, with_vector, slot)
        found: dict[PointId, StoredPoint] = {}
        for batch in chunks(ids, requests.READ_BATCH):
            request = partial(self._client.retrieve, name, list(batch), **wanted)
            points = [
                stored_point(r.id, r.payload, r.vector, slot) for r in self._read(name, request)
            ]
            found.update((point.id, point) for point in points)
        return found

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
        slot = self._shape(name).vector  # an unknown name is told here, not at the first page
        wanted = requests.wanted(with_payload, with_vector, slot)
        return self._pages(name, slot, start, limit=page, **wanted)

    def missing_vectors(self, name: str) -> set[PointId]:
        """Ids of points that lack one of the layout's vectors."""
        shape = self._shape(name)
        incomplete = model_filter(requests.lacking(list(requests.vectors(shape))))
        request: dict[str, Any] = {
            "with_payload": False, "with_vectors": False, "scroll_filter": incomplete,
        }  # fmt: skip
        pages = self._pages(name, shape.vector, limit=requests.READ_BATCH, **request)
        return {point.id for page in pages for point in page}

    def search(self, name: str, vector: Vector, plan: SearchPlan) -> list[Hit]:
        """Best first. A two-stage plan on a ``single`` layout searches the full vectors."""
        shape = self._shape(name)
        query = checked_query(name, vector, shape)
        given = search_request(query, checked_plan(name, plan), shape)
        request = partial(self._client.query_points, name, **given)
        return [hit(p.id, p.score, p.payload) for p in self._read(name, request).points]

    def count(self, name: str, *, unstamped: bool = False) -> int:
        """Exact number of points; or only of those that bear no stamp, which others wrote."""
        self._shape(name)
        if unstamped:
            self._index_stamps(name)
        chosen = model_filter(requests.UNSTAMPED) if unstamped else None
        return self._read(name, partial(self._client.count, name, chosen, exact=True)).count

    def flush(self, name: str) -> None:
        """Nothing to do: a write is in the server's log before it is acknowledged."""
        self._shape(name)

    # -- collections that somebody else made, and what a new one takes over from an old one

    def describe(self, name: str) -> CollectionDescription:
        """All that the server knows of a collection, whoever made it."""
        self._check_exists(name)
        return self._carrier.describe(name)

    def sample(self, name: str, count: int, vector: str | None = None) -> list[StoredPoint]:
        """Up to ``count`` random points, ids ascending, with payload and the full vector.

        ``vector`` names another slot to read it from.
        """
        self._check_exists(name)
        slot = self._shape(name).vector if vector is None else vector
        drawn = self._carrier.draw(name, count, slot)
        return [stored_point(p.id, p.payload, p.vector, slot) for p in drawn]

    def pages(self, name: str, vector: str, *, page: int = 500) -> Iterator[list[StoredPoint]]:
        """All points, ids ascending, with payload and the vector of a slot, whoever made them."""
        self._check_exists(name)
        return self._pages(name, vector, limit=page, **requests.wanted(True, True, vector))

    def carry_indexes(self, name: str, like: CollectionDescription) -> list[str]:
        """Create the payload indexes of ``like`` that ``name`` lacks; returns their fields."""
        return self._carrier.carry_indexes(name, like)

    def copy_vectors(
        self,
        source: str,
        target: str,
        names: Sequence[str],
        *,
        page: int = 256,
        keep: Keep | None = None,
    ) -> Iterator[Copied]:
        """Copy the vectors ``names`` to the points of ``target`` that have the same ids.

        Yields what was done with each page. Idempotent: equal vectors are not written again, so an
        interrupted copy is simply run again. ``keep``: of which points of the target the vectors
        stay as they are; with it nothing is removed, only added and overwritten.
        """
        return self._other_vectors.copy_vectors(source, target, names, page=page, keep=keep)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _shape(self, name: str) -> Shape:
        """The collection's dimensions, asked for once; an alias is no collection."""
        if name not in self._shapes:
            self._check_exists(name)
            config = self._read(name, partial(self._client.get_collection, name)).config
            dense, sparse = config.params.vectors, config.params.sparse_vectors or {}
            found = requests.shape_of(name, dense, config.metadata or {})
            shape = replace(found, most=most_points(config.strict_mode_config))
            named = {*(dense if isinstance(dense, Mapping) else ()), *sparse}
            self._others[name] = tuple(sorted(named - requests.vectors(shape).keys()))
            self._shapes[name] = shape
        return self._shapes[name]

    def _beside(self, name: str, made: list[Any]) -> Iterable[list[Any]]:
        """Points that are about to be overwritten, with those vectors that are not ours."""
        others = self._others[name]
        return self._other_vectors.beside(name, made, others) if others else [made]

    def _check_exists(self, name: str) -> None:
        if name not in self.collections():
            raise CollectionNotFound(f"there is no collection {name!r} on the server.")

    def _forget(self, name: str) -> None:
        self._shapes.pop(name, None)
        self._indexed.discard(name)

    def _index_stamps(self, name: str) -> None:
        """Index what conditional writes compare, once and only where there are such writes."""
        from qdrant_client import models

        if name in self._indexed:
            return
        schemas = {"keyword": models.KeywordIndexParams, "integer": models.IntegerIndexParams}
        for field, given in requests.STAMP_INDEXES.items():
            schema = schemas[given["type"]](**given)
            create = partial(self._client.create_payload_index, name, field, schema)
            self._write(name, create)
        self._indexed.add(name)
