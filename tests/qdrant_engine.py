"""What a Qdrant server does with a request, over the client's local mode. For tests alone.

Requests are read with the client's own models, so what a server would refuse to parse is refused
here. Local mode (qdrant-client 1.20) has the server's semantics of insert-only, update-only,
``update_filter`` and of writes by filter; what it lacks is added: a collection's configuration and
payload indexes are kept and told, and a filter by id does not look at every point.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from qdrant_client import QdrantClient, models
from qdrant_client.local.local_collection import LocalCollection
from qdrant_client.local.payload_filters import check_filter
from qdrant_client.local.qdrant_local import QdrantLocal

VERSION = "1.17.1"
HNSW = models.HnswConfig(m=16, ef_construct=100, full_scan_threshold=10_000)
OPTIMIZER = models.OptimizersConfig(
    deleted_threshold=0.2,
    vacuum_min_vector_number=1000,
    default_segment_number=0,
    flush_interval_sec=5,
)


class Request(NamedTuple):
    """A request as it came, its path without the query."""

    method: str
    path: str
    body: bytes


class Reply(NamedTuple):
    status: int
    body: bytes


class Collection(LocalCollection):
    """A local collection that finds points by id without going through all of them."""

    def _filter_to_ids(self, delete_filter: models.Filter) -> list[models.ExtendedPointId]:
        named = [c for c in _must(delete_filter) if isinstance(c, models.HasIdCondition)]
        if not named:
            return list(super()._filter_to_ids(delete_filter))
        places = {id: self.ids.get(id) for id in dict.fromkeys(map(_plain, named[0].has_id))}
        return [
            id
            for id, at in places.items()
            if at is not None
            and not self.deleted[at]
            and check_filter(delete_filter, self.payload[at], id, self._calculate_has_vector(at))
        ]


class Engine:
    """Collections in memory. Safe to use from several threads: one request at a time."""

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.local: QdrantLocal = self.client._client  # type: ignore[assignment]
        self.created: dict[str, models.CreateCollection] = {}
        self.indexes: dict[str, dict[str, Any]] = {}
        self.lock = threading.Lock()

    def handle(self, request: Request, before: Callable[[], None] = lambda: None) -> Reply:
        """Carry a request out; ``before`` is called first where it changes something."""
        for route in ROUTES:
            found = route.path.fullmatch(request.path)
            if route.method == request.method and found:
                with self.lock, warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if route.changes:
                        before()
                    return self._answer(route, request.body, found.groups())
        return _failure(404, f"no such route: {request.method} {request.path}")

    def _answer(self, route: Route, body: bytes, names: tuple[str, ...]) -> Reply:
        try:
            result = route.handler(self, *names, body)
        except (ValidationError, TypeError) as error:
            return _failure(400, f"Format error in JSON body: {error}")
        except KeyError as error:
            return _failure(404, f"Not found: No point with id {error} found")
        except (ValueError, AssertionError) as error:
            return _failure(_status_of(str(error)), str(error))
        if route.bare:
            return Reply(200, to_json(result))
        return Reply(200, to_json({"result": result, "status": "ok", "time": 0.0}))

    # -- the service and the collections

    def root(self, body: bytes) -> Any:
        return {"title": "qdrant - vector search engine", "version": VERSION, "commit": "test"}

    def collections(self, body: bytes) -> Any:
        return self.local.get_collections()

    def info(self, name: str, body: bytes) -> Any:
        """The collection's information, its configuration as it was ordered."""
        collection = self.collection(name)
        info, ordered = collection.info(), self.created[self.physical(name)]
        config = info.config
        config.hnsw_config = _merged(HNSW, ordered.hnsw_config)
        config.optimizer_config = _merged(OPTIMIZER, ordered.optimizers_config)
        config.quantization_config = ordered.quantization_config
        config.strict_mode_config = _merged(models.StrictModeConfig(), ordered.strict_mode_config)
        for key in ("shard_number", "replication_factor", "write_consistency_factor"):
            setattr(config.params, key, getattr(ordered, key) or 1)
        config.params.on_disk_payload = ordered.on_disk_payload is not False
        config.params.sharding_method = ordered.sharding_method
        info.payload_schema = {
            field: _index_of(schema, info.points_count or 0)
            for field, schema in self.indexes[self.physical(name)].items()
        }
        return info

    def exists(self, name: str, body: bytes) -> Any:
        return {"exists": self.local.collection_exists(name)}

    def create(self, name: str, body: bytes) -> Any:
        ordered = models.CreateCollection.model_validate_json(body)
        self.local.create_collection(
            name, ordered.vectors, ordered.sparse_vectors, metadata=ordered.metadata
        )
        self.local.collections[name].__class__ = Collection
        self.created[name], self.indexes[name] = ordered, {}
        return True

    def change(self, name: str, body: bytes) -> Any:
        diff = models.UpdateCollection.model_validate_json(body)
        self.local.update_collection(
            name,
            sparse_vectors_config=diff.sparse_vectors,
            metadata=diff.metadata,
            vectors_config=diff.vectors,
        )
        ordered = self.created[self.physical(name)]
        for key in ("hnsw_config", "optimizers_config", "quantization_config"):
            if (given := getattr(diff, key)) is not None:
                setattr(ordered, key, given)
        return True

    def drop(self, name: str, body: bytes) -> Any:
        self.created.pop(name, None)
        self.indexes.pop(name, None)
        return self.local.delete_collection(name)

    def aliases(self, body: bytes) -> Any:
        return self.local.get_aliases()

    def aliases_of(self, name: str, body: bytes) -> Any:
        self.collection(name)
        return self.local.get_collection_aliases(name)

    def change_aliases(self, body: bytes) -> Any:
        """One after the other without a way back, as the server does (not all or none)."""
        changes = models.ChangeAliasesOperation.model_validate_json(body)
        for action in changes.actions:
            self.local.update_collection_aliases([action])
        return True

    def index(self, name: str, body: bytes) -> Any:
        given = models.CreateFieldIndex.model_validate_json(body)
        self.local.create_payload_index(name, given.field_name, given.field_schema)
        self.indexes[self.physical(name)][given.field_name] = given.field_schema
        return DONE

    def unindex(self, name: str, field: str, body: bytes) -> Any:
        self.collection(name)
        self.indexes[self.physical(name)].pop(field, None)
        return DONE

    # -- points

    def upsert(self, name: str, body: bytes) -> Any:
        given = INSERTIONS.validate_json(body)
        points = given.batch if isinstance(given, models.PointsBatch) else given.points
        for point in points if isinstance(points, list) else ():
            if isinstance(point.vector, list):  # the default slot, beside named ones too
                point.vector = {"": point.vector}
        self.collection(name).upsert(points, given.update_filter, given.update_mode)
        return DONE

    def batch(self, name: str, body: bytes) -> Any:
        operations = models.UpdateOperations.model_validate_json(body).operations
        self.collection(name).batch_update_points(operations)
        return [DONE] * len(operations)

    def delete(self, name: str, body: bytes) -> Any:
        self.collection(name).delete(SELECTIONS.validate_json(body))
        return DONE

    def set_payload(self, name: str, body: bytes) -> Any:
        given = models.SetPayload.model_validate_json(body)
        self.collection(name).set_payload(given.payload, _chosen(given), given.key)
        return DONE

    def overwrite_payload(self, name: str, body: bytes) -> Any:
        given = models.SetPayload.model_validate_json(body)
        self.collection(name).overwrite_payload(given.payload, _chosen(given))
        return DONE

    def delete_payload(self, name: str, body: bytes) -> Any:
        given = models.DeletePayload.model_validate_json(body)
        self.collection(name).delete_payload(given.keys, _chosen(given))
        return DONE

    def clear_payload(self, name: str, body: bytes) -> Any:
        self.collection(name).clear_payload(SELECTIONS.validate_json(body))
        return DONE

    def update_vectors(self, name: str, body: bytes) -> Any:
        given = models.UpdateVectors.model_validate_json(body)
        self.collection(name).update_vectors(given.points, given.update_filter)
        return DONE

    def delete_vectors(self, name: str, body: bytes) -> Any:
        given = models.DeleteVectors.model_validate_json(body)
        self.collection(name).delete_vectors(given.vector, _chosen(given))
        return DONE

    def retrieve(self, name: str, body: bytes) -> Any:
        given = models.PointRequest.model_validate_json(body)
        payload = True if given.with_payload is None else given.with_payload
        return self.collection(name).retrieve(given.ids, payload, given.with_vector or False)

    def scroll(self, name: str, body: bytes) -> Any:
        given = models.ScrollRequest.model_validate_json(body)
        payload = True if given.with_payload is None else given.with_payload
        points, after = self.collection(name).scroll(
            given.filter,
            given.limit or 10,
            given.order_by,
            given.offset,
            payload,
            given.with_vector or False,
        )
        return {"points": points, "next_page_offset": after}

    def count(self, name: str, body: bytes) -> Any:
        given = models.CountRequest.model_validate_json(body)
        return self.collection(name).count(given.filter)

    def query(self, name: str, body: bytes) -> Any:
        return self._query(name, models.QueryRequest.model_validate_json(body))

    def queries(self, name: str, body: bytes) -> Any:
        given = models.QueryRequestBatch.model_validate_json(body)
        return [self._query(name, one) for one in given.searches]

    def facet(self, name: str, body: bytes) -> Any:
        given = models.FacetRequest.model_validate_json(body)
        return self.collection(name).facet(given.key, given.filter, given.limit or 10)

    def _query(self, name: str, given: models.QueryRequest) -> Any:
        return self.client.query_points(
            name,
            query=given.query,
            using=given.using,
            prefetch=given.prefetch,
            query_filter=given.filter,
            search_params=given.params,
            limit=given.limit or 10,
            offset=given.offset,
            with_payload=given.with_payload or False,
            with_vectors=given.with_vector or False,
            score_threshold=given.score_threshold,
        )

    def collection(self, name: str) -> LocalCollection:
        """By its own name or by an alias."""
        return self.local._get_collection(name)

    def physical(self, name: str) -> str:
        return str(self.local.aliases.get(name, name))


class Route(NamedTuple):
    method: str
    path: re.Pattern[str]
    handler: Callable[..., Any]
    changes: bool = False
    bare: bool = False


DONE = models.UpdateResult(operation_id=1, status=models.UpdateStatus.COMPLETED)
INSERTIONS: TypeAdapter[Any] = TypeAdapter(models.PointInsertOperations)
SELECTIONS: TypeAdapter[Any] = TypeAdapter(models.PointsSelector)


def _route(line: str, handler: Callable[..., Any], **flags: bool) -> Route:
    method, path = line.split()
    pattern = path.replace("{c}", "/collections/([^/]+)").replace("{f}", "([^/]+)")
    return Route(method, re.compile(pattern), handler, **flags)


ROUTES = (
    _route("GET /", Engine.root, bare=True),
    _route("GET /collections", Engine.collections),
    _route("GET /aliases", Engine.aliases),
    _route("POST /collections/aliases", Engine.change_aliases, changes=True),
    _route("GET {c}", Engine.info),
    _route("GET {c}/exists", Engine.exists),
    _route("GET {c}/aliases", Engine.aliases_of),
    _route("PUT {c}", Engine.create, changes=True),
    _route("PATCH {c}", Engine.change, changes=True),
    _route("DELETE {c}", Engine.drop, changes=True),
    _route("PUT {c}/index", Engine.index, changes=True),
    _route("DELETE {c}/index/{f}", Engine.unindex, changes=True),
    _route("PUT {c}/points", Engine.upsert, changes=True),
    _route("POST {c}/points/batch", Engine.batch, changes=True),
    _route("POST {c}/points/delete", Engine.delete, changes=True),
    _route("POST {c}/points/payload", Engine.set_payload, changes=True),
    _route("PUT {c}/points/payload", Engine.overwrite_payload, changes=True),
    _route("POST {c}/points/payload/delete", Engine.delete_payload, changes=True),
    _route("POST {c}/points/payload/clear", Engine.clear_payload, changes=True),
    _route("PUT {c}/points/vectors", Engine.update_vectors, changes=True),
    _route("POST {c}/points/vectors/delete", Engine.delete_vectors, changes=True),
    _route("POST {c}/points", Engine.retrieve),
    _route("POST {c}/points/scroll", Engine.scroll),
    _route("POST {c}/points/count", Engine.count),
    _route("POST {c}/points/query", Engine.query),
    _route("POST {c}/points/query/batch", Engine.queries),
    _route("POST {c}/facet", Engine.facet),
)


def _failure(status: int, message: str) -> Reply:
    return Reply(status, to_json({"status": {"error": message}, "time": 0.0}))


def _status_of(message: str) -> int:
    """The HTTP status that the server gives such a refusal."""
    if "not found" in message:
        return 404
    return 409 if "already exists" in message else 400


def _must(given: models.Filter) -> list[Any]:
    must = given.must or []
    return must if isinstance(must, list) else [must]


def _plain(id: Any) -> int | str:
    return id if isinstance(id, int) else str(id)


def _chosen(given: Any) -> Any:
    """The ids or the filter of a payload or vector operation."""
    return given.points if given.points is not None else given.filter


def _merged(default: Any, diff: Any) -> Any:
    if diff is None:
        return default
    return default.model_copy(update=diff.model_dump(exclude_none=True))


def _index_of(schema: Any, points: int) -> models.PayloadIndexInfo:
    simple = isinstance(schema, models.PayloadSchemaType)
    kind = schema if simple else models.PayloadSchemaType(schema.type.value)
    return models.PayloadIndexInfo(data_type=kind, params=None if simple else schema, points=points)
