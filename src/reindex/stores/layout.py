"""What both stores share: the vector layout, the checks before a write, batches and groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reindex.errors import StoreError
from reindex.records import (
    PREFIX_VECTOR,
    STAMP_KEY,
    CollectionSpec,
    Hit,
    Layout,
    Payload,
    PayloadChange,
    Point,
    PointId,
    SearchPlan,
    Stamp,
    StoredPoint,
    Vector,
)

FULL_VECTOR = ""
"""Qdrant's unnamed default slot: what plain clients read."""
DISTANCES = ("Cosine", "Dot")
"""Equal for vectors of unit length; others rank otherwise, or the smaller score first."""
STAMP_FIELDS = tuple(f"{STAMP_KEY}.{name}" for name in Stamp.__slots__)
BUILD_FIELD, REV_FIELD = f"{STAMP_KEY}.build", f"{STAMP_KEY}.rev"
MAX_NORM_ERROR = 1e-3
"""How far from 1 a vector's length may be: float16 graphs stay within it, a bug does not."""
_MAX_FLOATS, MAX_BATCH = 500_000, 512
"""Per request: 500,000 floats are about 10 MB of JSON, a third of Qdrant's default limit."""

Written = TypeVar("Written", Point, PayloadChange)
Item = TypeVar("Item")
Seen = tuple[str, int] | None
"""(build, rev) of the stamp that was read, or None where there was none."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The vectors of a collection. ``prefix_dim`` is None in the ``single`` layout.

    ``vector`` is the slot of the full one; the two distances are one and the same for ours, which
    are of unit length. ``most`` is how many points a write request may have.
    """

    dim: int
    prefix_dim: int | None
    vector: str = FULL_VECTOR
    distance: str = "Cosine"
    most: int = MAX_BATCH

    @classmethod
    def of(cls, spec: CollectionSpec) -> Shape:
        """The shape that ``spec`` asks for; StoreError where it contradicts itself."""
        two_stage = spec.layout == "two-stage"
        fits = spec.prefix_dim is not None and 0 < spec.prefix_dim <= spec.dim
        if spec.dim < 1 or (two_stage and not fits) or (not two_stage and spec.prefix_dim):
            raise StoreError(
                f"collection {spec.name!r}: layout {spec.layout!r} with dim {spec.dim} and "
                f"prefix_dim {spec.prefix_dim}. Expected 1 <= prefix_dim <= dim for 'two-stage', "
                "and no prefix_dim for 'single'."
            )
        if spec.vector == PREFIX_VECTOR or spec.distance not in DISTANCES:
            raise StoreError(
                f"collection {spec.name!r}: full vector {spec.vector!r}, distance "
                f"{spec.distance!r}. Expected another name than {PREFIX_VECTOR!r} and one of "
                f"{', '.join(DISTANCES)}."
            )
        return cls(spec.dim, spec.prefix_dim, spec.vector, spec.distance)

    @property
    def layout(self) -> Layout:
        """The layout's name."""
        return "two-stage" if self.prefix_dim else "single"

    @property
    def batch(self) -> int:
        """Points per write request."""
        return max(1, min(self.most, _MAX_FLOATS // (self.dim + (self.prefix_dim or 0))))


def prefix_of(vectors: Vector, dim: int) -> Vector:
    """The first ``dim`` Matryoshka dimensions, renormalised to unit length.

    Args:
        vectors: ``(n, full)`` or ``(full,)``.
        dim: how many dimensions to keep.

    Returns:
        ``(n, dim)`` or ``(dim,)`` float32, C-contiguous. A prefix of zeros stays zero.
    """
    head = np.ascontiguousarray(vectors[..., :dim], dtype=np.float32)
    norms = np.linalg.norm(head, axis=-1, keepdims=True)
    unit: Vector = head / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit


def stacked(name: str, points: Sequence[Point], shape: Shape) -> Vector:
    """The points' vectors as one ``(n, dim)`` float32 array.

    Checked here because Qdrant Edge takes NaN and zero vectors silently, and because an engine
    that refuses one point in the middle of a batch leaves those before it written.

    Raises:
        StoreError: a vector has the wrong dimension, is not finite or not of unit length; the
            message names the point.
    """
    for point in points:
        if point.vector.shape != (shape.dim,):
            raise _bad_vector(name, point.id, f"has shape {point.vector.shape}", shape.dim)
    if not points:
        return np.empty((0, shape.dim), np.float32)
    vectors = np.ascontiguousarray(np.stack([point.vector for point in points]), np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    # not (error <= limit) instead of error > limit: NaN and infinity count as bad, too
    bad: NDArray[np.intp] = np.flatnonzero(~(np.abs(norms - 1) <= MAX_NORM_ERROR))
    if bad.size:
        raise _bad_vector(name, points[bad[0]].id, f"has length {norms[bad[0]]}", shape.dim)
    return vectors


def checked_query(name: str, vector: Vector, shape: Shape) -> Vector:
    """The query vector as contiguous float32; raises StoreError as `stacked` does."""
    if vector.shape != (shape.dim,):
        raise _bad_vector(name, "(query)", f"has shape {vector.shape}", shape.dim)
    if not abs(float(np.linalg.norm(vector)) - 1) <= MAX_NORM_ERROR:
        found = f"has length {np.linalg.norm(vector)}"
        raise _bad_vector(name, "(query)", found, shape.dim)
    return np.ascontiguousarray(vector, np.float32)


def _bad_vector(name: str, point: PointId, found: str, dim: int) -> StoreError:
    return StoreError(
        f"collection {name!r}, point {point!r}: the vector {found}; expected a finite vector of "
        f"shape ({dim},) and length 1. Nothing of this call was written. Check the encoder."
    )


def checked_plan(name: str, plan: SearchPlan) -> SearchPlan:
    """``plan``, or StoreError where its numbers make no sense."""
    if plan.k < 1 or plan.offset < 0 or plan.oversampling < 1:
        raise StoreError(
            f"collection {name!r}: expected k >= 1, offset >= 0 and oversampling >= 1, got "
            f"k={plan.k}, offset={plan.offset}, oversampling={plan.oversampling}."
        )
    return plan


def stamped(item: Point | PayloadChange) -> Payload:
    """The payload as it is stored: the source's own, and our stamp beside it."""
    return {**item.payload, STAMP_KEY: item.stamp.as_payload()}


def chunks(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """``items`` in slices of at most ``size``."""
    return (items[start : start + size] for start in range(0, len(items), size))


def by_seen(
    name: str, items: Iterable[Written], seen: Mapping[PointId, Stamp | None]
) -> dict[Seen, list[Written]]:
    """Group writes by the build and rev they depend on: one conditional request per group."""
    groups: dict[Seen, list[Written]] = {}
    for item in items:
        if item.id not in seen:
            raise StoreError(
                f"collection {name!r}: `seen` lacks point {item.id!r}. Pass what was read of every "
                "point that is to be overwritten (None: it bore no stamp)."
            )
        groups.setdefault(key_of(seen[item.id]), []).append(item)
    return groups


def key_of(stamp: Stamp | None) -> Seen:
    """What a conditional write compares."""
    return (stamp.build, stamp.rev) if stamp else None


def stored_point(
    id: object, payload: Payload | None, vector: object, slot: str = FULL_VECTOR
) -> StoredPoint:
    """An engine's record as a `StoredPoint`; takes the stamp out of ``payload``.

    ``id`` is an int, a UUID object or text; ``vector`` a list, a dict of named ones (the full one
    is ``slot``), or None.
    """
    stamp = Stamp.from_payload(payload)
    plain = payload if payload is not None else {}
    plain.pop(STAMP_KEY, None)
    point_id = id if isinstance(id, int) else str(id)
    if vector is None:  # the common case, and this function is half the cost of a look-up
        return StoredPoint(point_id, stamp, plain)
    full = vector.get(slot) if isinstance(vector, Mapping) else vector
    return StoredPoint(
        point_id, stamp, plain, None if full is None else np.asarray(full, dtype=np.float32)
    )


def hit(id: object, score: float, payload: Payload | None) -> Hit:
    """An engine's scored record as a `Hit`."""
    point = stored_point(id, payload, None)
    own = point.stamp.id if point.stamp else point.id
    return Hit(own, float(score), point.payload, point.id)
