"""Our words -> the JSON of Qdrant's REST API, which the server adapter reads into its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reindex.errors import StoreError
from reindex.records import PREFIX_VECTOR, STAMP_KEY, Condition, PointId, PointSlice
from reindex.stores.filters import (
    AllOf,
    AnyOf,
    Between,
    Clause,
    Empty,
    Equal,
    FieldClause,
    Not,
    OneOf,
    clauses,
)
from reindex.stores.layout import (
    BUILD_FIELD,
    FULL_VECTOR,
    REV_FIELD,
    STAMP_FIELDS,
    Seen,
    Shape,
)

Json = dict[str, Any]
VECTOR, ADOPTED = "vector", "adopted"
"""Keys of a collection's metadata: its full vector's slot; that it was made by somebody else."""
READ_BATCH = 1000
"""Points per request that reads or deletes."""
STAMP_INDEXES: dict[str, Json] = {
    BUILD_FIELD: {"type": "keyword", "on_disk": True, "enable_hnsw": False},
    REV_FIELD: {"type": "integer", "lookup": True, "range": False, "on_disk": True},
}
"""Servers in strict mode refuse filters on fields without an index, conditional writes included.
On disk, and without links in the graph: nobody searches by them."""


def vectors(shape: Shape) -> dict[str, Json]:
    """slot -> parameters; with a prefix to search first, only it has a graph and stays in memory.

    Cosine, because plain clients refuse to read a collection with another distance than theirs.
    """
    full: Json = {"size": shape.dim, "distance": shape.distance}
    if shape.prefix_dim is None:
        return {shape.vector: full}
    full |= {"on_disk": True, "hnsw_config": {"m": 0}}
    prefix = {"size": shape.prefix_dim, "distance": shape.distance}
    return {shape.vector: full, PREFIX_VECTOR: prefix}


def shape_of(name: str, vectors: Any, metadata: Mapping[str, Any]) -> Shape:
    """The shape that a collection's vector parameters (one, or a dict of named ones) describe.

    The metadata say which vector is ours; else it is the unnamed one, else the only one.
    """
    slots = dict(vectors) if isinstance(vectors, Mapping) else {FULL_VECTOR: vectors}
    prefix = None if ADOPTED in metadata else slots.pop(PREFIX_VECTOR, None)
    only = next(iter(slots)) if len(slots) == 1 else FULL_VECTOR
    slot = metadata.get(VECTOR, FULL_VECTOR if FULL_VECTOR in slots else only)
    found = slots.get(slot)
    if found is None or found.multivector_config is not None:
        raise StoreError(
            f"collection {name!r} has the dense vectors {sorted(slots)}; there is no telling which "
            f"one is a model's of this project. Name it: reindex adopt {name} --vector NAME"
        )
    return Shape(found.size, prefix.size if prefix else None, slot, str(found.distance.value))


def wanted(with_payload: bool, with_vector: bool, slot: str = FULL_VECTOR) -> Json:
    """What a read brings along: always the stamp."""
    return {
        "with_payload": True if with_payload else [STAMP_KEY],
        "with_vectors": [slot] if with_vector else False,
    }


def unchanged(seen: Seen, ids: Sequence[PointId] = ()) -> Json:
    """A filter: (one of ``ids`` and) still bearing the stamp that was read, or still none."""
    chosen: list[Json] = [{"has_id": list(ids)}] if ids else []
    if seen is None:  # no stamp = one of its fields is not there, as `Stamp.from_payload` has it
        empty = [{"is_empty": {"key": field}} for field in STAMP_FIELDS]
        return {"must": [*chosen, {"should": empty}]}
    build, rev = seen
    stamp = [_match(BUILD_FIELD, {"value": build}), _match(REV_FIELD, {"value": rev})]
    return {"must": [*chosen, *stamp]}


UNSTAMPED: Json = {"must": [{"is_empty": {"key": BUILD_FIELD}}]}
"""Points without a stamp, by the one of its fields that is indexed: fast among millions."""


def lacking(names: Sequence[str]) -> Json:
    """A filter: points without at least one of these vectors."""
    return {"should": [{"must_not": [{"has_vector": name}]} for name in names]}


def in_slice(part: PointSlice) -> Json:
    """A filter: points whose ids' hash falls into a part."""
    return {"must": [{"slice": {"total": part.total, "index": part.index}}]}


def where(condition: Condition) -> Json:
    """A filter: all of the condition's fields."""
    return {"must": [_condition(clause) for clause in clauses(condition)]}


def _condition(clause: Clause) -> Json:
    match clause:
        case AnyOf(several):
            return {"should": [_condition(one) for one in several]}
        case AllOf(several):
            return {"must": [_condition(one) for one in several]}
        case Not(one):
            return {"must_not": [_condition(one)]}
        case _:
            return _of_field(clause)


def _of_field(clause: FieldClause) -> Json:
    match clause:
        case Equal(key, value):
            return _match(key, {"value": value})
        case OneOf(key, values):
            return _match(key, {"any": list(values)})
        case Between(key, bounds):
            return {"key": key, "range": dict(bounds)}
        case Empty(key):
            return {"is_empty": {"key": key}}


def _match(key: str, wanted: Json) -> Json:
    return {"key": key, "match": wanted}
