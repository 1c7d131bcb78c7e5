"""Stamps, points and vectors to test a store with."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from reindex.records import (
    CollectionSpec,
    Layout,
    Payload,
    Point,
    PointId,
    Stamp,
    Vector,
    payload_hash,
    text_hash,
)

DIM, PREFIX_DIM = 16, 8


def spec(name: str, layout: Layout = "two-stage", **metadata: Any) -> CollectionSpec:
    """A collection of ``DIM`` dimensions, with a prefix of ``PREFIX_DIM`` in two stages."""
    prefix_dim = PREFIX_DIM if layout == "two-stage" else None
    return CollectionSpec(name, DIM, layout, prefix_dim, metadata or {"space": "s1"})


def unit_vectors(count: int, dim: int = DIM, seed: int = 13) -> Vector:
    """``(count, dim)`` random directions."""
    rows = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    unit: Vector = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def uuid_of(number: int) -> str:
    """A UUID in canonical text form, always the same for a number."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))


def stamp(id: int | str, *, build: str = "b1", rev: int = 1, text: str = "text") -> Stamp:
    """A stamp as a build writes it."""
    return Stamp(
        id=id,
        space="s1",
        encoding="e1",
        build=build,
        source="corpus",
        text_hash=text_hash(text),
        payload_hash=payload_hash({"text": text}),
        rev=rev,
    )


def point(id: PointId, vector: Vector, payload: Payload | None = None, **of_stamp: Any) -> Point:
    """The point of the document ``doc-<id>``."""
    return Point(id, vector, payload or {"text": f"text {id}"}, stamp(f"doc-{id}", **of_stamp))


def points(ids: Sequence[PointId], vectors: Vector | None = None, **of_stamp: Any) -> list[Point]:
    """Points with random vectors, unless ``vectors`` gives them."""
    rows = unit_vectors(len(ids)) if vectors is None else vectors
    return [point(id, row, **of_stamp) for id, row in zip(ids, rows, strict=True)]


def seen_of(ids: Sequence[PointId], **of_stamp: Any) -> dict[PointId, Stamp | None]:
    """What a reader of `points` with the same ids would have seen."""
    return {id: stamp(f"doc-{id}", **of_stamp) for id in ids}


def assert_near(found: Any, expected: Any, atol: float = 1e-6) -> None:
    """The numbers are equal but for rounding."""
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=atol)
