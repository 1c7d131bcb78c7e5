"""Collections of a server as they are, and what a new one takes over from an old one.

Carried: shards, replicas, write consistency, HNSW, optimizer, quantization, storage and strict-mode
settings, payload indexes, and the configuration of the vectors that the project does not own
(sparse, images). Their values: `server_vectors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from reindex.errors import StoreError
from reindex.records import (
    PREFIX_VECTOR,
    STAMP_KEY,
    CollectionDescription,
    Placement,
    VectorDescription,
)
from reindex.stores import server_requests as requests
from reindex.stores.layout import FULL_VECTOR, Shape
from reindex.stores.server_connection import Connection

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

SETTINGS = (
    "shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload", "payload",
    "id_tracker",
)  # fmt: skip
"""Of a collection's parameters, those that a new one can be created with."""

PARTS = {
    "hnsw_config": "hnsw_config",
    "optimizer_config": "optimizers_config",
    "wal_config": "wal_config",
    "quantization_config": "quantization_config",
    "strict_mode_config": "strict_mode_config",
}
"""Part of a collection's configuration -> parameter of its creation."""

OF_A_VECTOR = ("hnsw_config", "quantization_config", "on_disk", "memory")
"""What the searched vector of a new collection takes over from the old one's own vector."""

DEFAULT_PLACEMENT = Placement()

FLOATS = ("float32", "float16")


class Carrier:
    """Describes collections and creates payload indexes. Part of `ServerStore`."""

    def __init__(self, client: QdrantClient, connection: Connection) -> None:
        self._client = client
        self._read, self._write = connection.read, connection.write

    def describe(self, name: str) -> CollectionDescription:
        """All that the server knows of a collection. Raises CollectionNotFound."""
        info = self._read(name, partial(self._client.get_collection, name))
        config, metadata = info.config, dict(info.config.metadata or {})
        return CollectionDescription(
            name=name,
            points=self._read(name, partial(self._client.count, name, exact=True)).count,
            vectors=tuple(_vectors(config.params)),
            owned=_owned(name, config.params.vectors, metadata),
            settings=_settings(config),
            indexes={
                field: _json(index.params) if index.params else {"type": index.data_type.value}
                for field, index in sorted((info.payload_schema or {}).items())
            },
            metadata=metadata,
            status=str(info.status.value),
            problems=tuple(_problems(info)),
            indexed_vectors=info.indexed_vectors_count,
            segments=info.segments_count,
        )

    def draw(self, name: str, count: int, slot: str) -> list[Any]:
        """Random points with payload and the vector of ``slot``; integer ids first, ascending."""
        from qdrant_client import models

        ask = partial(
            self._client.query_points,
            name,
            query=models.SampleQuery(sample=models.Sample.RANDOM),
            limit=count,
            with_payload=True,
            with_vectors=[slot],
        )
        found = self._read(name, ask).points
        return sorted(found, key=lambda point: (isinstance(point.id, str), point.id))

    def carry_indexes(self, name: str, like: CollectionDescription) -> list[str]:
        """Create the payload indexes that ``name`` lacks. Ours (of the stamp) make themselves."""
        from pydantic import TypeAdapter
        from qdrant_client import models

        there = self.describe(name).indexes
        missing = [
            field
            for field in like.indexes
            if field not in there and not field.startswith(f"{STAMP_KEY}.")
        ]
        reader: TypeAdapter[Any] = TypeAdapter(models.PayloadSchemaParams)
        for field in missing:
            schema = reader.validate_python(like.indexes[field])
            create = partial(self._client.create_payload_index, name, field, schema)
            self._write(name, create)
        return missing


_CREATED_WITH = (
    "shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload",
)  # fmt: skip
_QUANTIZED: dict[str, requests.Json] = {
    "scalar": {"scalar": {"type": "int8", "always_ram": True}},
    "binary": {"binary": {"always_ram": True}},
}


def creation(
    shape: Shape, like: CollectionDescription | None, placement: Placement = DEFAULT_PLACEMENT
) -> dict[str, Any]:
    """The arguments of ``create_collection``: our vectors, what ``like`` brings, what is wanted."""
    from qdrant_client import models

    slots = requests.vectors(shape)
    searched = PREFIX_VECTOR if shape.prefix_dim else shape.vector
    given: dict[str, Any] = {}
    if like is not None:
        _take_over(slots, searched, like)
        given = dict(like.settings)
        given["sparse_vectors"] = {v.name: v.params for v in like.unowned if v.kind == "sparse"}
        slots |= {v.name: dict(v.params) for v in like.unowned if v.kind != "sparse"}
    _place(slots, searched, shape.vector, placement)
    wanted = {name: getattr(placement, name) for name in _CREATED_WITH}
    given |= {name: value for name, value in wanted.items() if value is not None}
    if placement.quantization is not None:
        given.pop("quantization_config", None)
    plain = list(slots) == [FULL_VECTOR]
    whole = models.CreateCollection.model_validate(
        {"vectors": slots[FULL_VECTOR] if plain else slots, **given}
    )
    made = {name: getattr(whole, name) for name in whole.model_fields_set}
    made["vectors_config"] = made.pop("vectors")
    made["sparse_vectors_config"] = made.pop("sparse_vectors", None) or None
    return made


def _place(
    slots: dict[str, dict[str, Any]], searched: str, full: str, placement: Placement
) -> None:
    """Where the vectors are kept, and the quantization of the one that is searched first."""
    if placement.on_disk is not None:
        slots[full]["on_disk"] = placement.on_disk
    if placement.quantization is not None:
        slots[searched].pop("quantization_config", None)
    if placement.quantization in _QUANTIZED:
        slots[searched]["quantization_config"] = _QUANTIZED[placement.quantization]
        slots[searched]["on_disk"] = True


def _take_over(
    slots: dict[str, dict[str, Any]], searched: str, like: CollectionDescription
) -> None:
    """The own vector's settings go to the one that is searched first; its precision to all."""
    clash = sorted(slots.keys() & {vector.name for vector in like.unowned})
    if clash:
        raise StoreError(
            f"{like.name} keeps a vector {clash[0]!r} that belongs to somebody else, and the new "
            "collection needs that name for its own. Choose layout 'single', or adopt the "
            "collection with another --vector."
        )
    params = {vector.name: vector.params for vector in like.vectors}
    own = params[like.owned[0]] if like.owned else {}
    old = params[like.owned[-1]] if like.owned else {}  # laid out by us: the prefix is searched
    slots[searched] |= {key: old[key] for key in OF_A_VECTOR if key in old}
    if own.get("datatype") in FLOATS:
        for params in slots.values():
            params["datatype"] = own["datatype"]


def _settings(config: models.CollectionConfig) -> dict[str, Any]:
    params = _json(config.params)
    found = {name: params[name] for name in SETTINGS if name in params}
    for part, name in PARTS.items():
        value = getattr(config, part, None)
        if value is not None:
            found[name] = _json(value)
    # a bulk load in progress: the new collection must be indexed all the same
    optimizers = found.get("optimizers_config", {})
    if optimizers.get("indexing_threshold") == 0:
        del optimizers["indexing_threshold"]
    return found


def _vectors(params: models.CollectionParams) -> Iterator[VectorDescription]:
    dense = params.vectors or {}
    slots = dense if isinstance(dense, Mapping) else {FULL_VECTOR: dense}
    for name, given in slots.items():
        kind = "multi" if given.multivector_config else "dense"
        distance = str(given.distance.value)
        yield VectorDescription(name, kind, given.size, distance, _json(given))  # type: ignore[arg-type]
    for name, sparse in (params.sparse_vectors or {}).items():
        yield VectorDescription(name, "sparse", None, None, _json(sparse))


def _owned(name: str, vectors: Any, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The full vector and our prefix; none where nobody can say which one it is."""
    try:
        shape = requests.shape_of(name, vectors, metadata)
    except StoreError:
        return ()
    return (shape.vector, *([PREFIX_VECTOR] if shape.prefix_dim else []))


_STATUS = {
    "yellow": "the server is still optimizing it",
    "grey": "optimizing has been pending since the server started; any write goes on with it",
    "red": "the server could not finish an operation",
}


def _problems(info: models.CollectionInfo) -> Iterator[str]:
    if info.status.value in _STATUS:
        yield f"status {info.status.value}: {_STATUS[info.status.value]}"
    error = getattr(info.optimizer_status, "error", None)
    if error:
        yield f"the optimizer stopped: {error}"
    for warning in info.warnings or ():
        yield str(warning.message)
    if str(getattr(info.config.params.sharding_method, "value", "")) == "custom":
        yield "custom sharding: reindex writes without shard keys, which such collections refuse"


def _json(model: Any) -> dict[str, Any]:
    found: dict[str, Any] = model.model_dump(mode="json", exclude_none=True)
    return found
