"""What other first stages would keep of exact search, computed from the stored full vectors.

A collection has one prefix. What another one, or a quantized one, would find needs no other
collection: every stored vector is read back once, and each first stage is scanned in numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reindex.evaluation.calibrate import SAME_SCORE
from reindex.evaluation.subset import truncate
from reindex.protocols import Progress, Store
from reindex.records import Vector

PAGE = 1000


@dataclass(frozen=True, slots=True)
class FirstStage:
    """A vector to search first: the first ``dim`` dimensions, kept as ``quantization`` says."""

    dim: int
    quantization: str = "none"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The share of exact search's results that a first stage of so many candidates keeps."""

    stage: FirstStage
    oversampling: int
    recall: float


def estimate_stages(
    store: Store,
    collection: str,
    query_vectors: Vector,
    stages: Sequence[FirstStage],
    *,
    k: int,
    candidates: Sequence[int],
    progress: Progress,
) -> list[Estimate]:
    """Every stage with every oversampling, if its first stage is scanned. One pass in pages.

    ``query_vectors`` is ``(n, dim)``. Memory: n × k × the largest oversampling, per stage.
    """
    exact = _Best(k, len(query_vectors))
    kept = [_Best(k * max(candidates), len(query_vectors)) for _ in stages]
    scorers: list[Callable[[Vector], Vector]] = []
    total, done = store.info(collection).points, 0
    for page in store.scroll(collection, page=PAGE, with_vector=True):
        vectors = [point.vector for point in page if point.vector is not None]
        if not vectors:
            continue
        stacked = np.stack(vectors)
        scorers = scorers or [_scorer(stage, query_vectors, stacked) for stage in stages]
        full = query_vectors @ stacked.T
        exact.add(full, full)
        for best, score in zip(kept, scorers, strict=True):
            best.add(score(stacked), full)
        done += len(page)
        progress("trying other first stages", done, total)
    return [
        Estimate(stage, oversampling, _recall(exact, best, k, k * oversampling))
        for stage, best in zip(stages, kept, strict=True)
        for oversampling in sorted(candidates)
    ]


class _Best:
    """The first so many of a first stage, by its scores, with their full scores."""

    def __init__(self, size: int, queries: int) -> None:
        self._size = size
        self.first: Vector = np.zeros((queries, 0), np.float32)
        self.full: Vector = np.zeros((queries, 0), np.float32)

    def add(self, first: Vector, full: Vector) -> None:
        """Another page, ``(queries, points)`` each."""
        firsts, fulls = np.hstack([self.first, first]), np.hstack([self.full, full])
        if firsts.shape[1] > self._size:
            chosen = np.argpartition(-firsts, self._size - 1, axis=1)[:, : self._size]
            firsts, fulls = (np.take_along_axis(m, chosen, axis=1) for m in (firsts, fulls))
        self.first, self.full = firsts, fulls

    def sorted(self) -> Vector:
        """Full scores in the order of the first stage."""
        order = np.argsort(-self.first, axis=1, kind="stable")
        ordered: Vector = np.take_along_axis(self.full, order, axis=1)
        return ordered


def _recall(exact: _Best, best: _Best, k: int, size: int) -> float:
    """A result counts that scores as well as the last exact one: equal documents are no loss."""
    truth = exact.full
    least = truth.min(axis=1, keepdims=True) - SAME_SCORE
    found = np.minimum((best.sorted()[:, :size] >= least).sum(axis=1), min(k, truth.shape[1]))
    return float(found.sum() / truth.size) if truth.size else 1.0


def _scorer(stage: FirstStage, queries: Vector, sample: Vector) -> Callable[[Vector], Vector]:
    """First-stage scores ``(queries, points)`` of full vectors ``(points, dim)``."""
    code = _CODES[stage.quantization](truncate(sample, stage.dim))
    asked = code(truncate(queries, stage.dim))
    return lambda vectors: asked @ code(truncate(vectors, stage.dim)).T


def _scalar(sample: Vector) -> Callable[[Vector], Vector]:
    """Qdrant's scalar quantization: 7 bits between the smallest and the largest component."""
    low, high = float(sample.min()), float(sample.max())
    step = max(high - low, 1e-12) / 127

    def code(vectors: Vector) -> Vector:
        levels: NDArray[np.float32] = np.clip(np.round((vectors - low) / step), 0, 127)
        return (levels * step + low).astype(np.float32)

    return code


def _binary(_: Vector) -> Callable[[Vector], Vector]:
    """One bit a dimension: its sign."""
    return lambda vectors: np.where(vectors > 0, 1, -1).astype(np.float32)


_CODES: dict[str, Callable[[Vector], Callable[[Vector], Vector]]] = {
    "none": lambda _: lambda vectors: vectors,
    "scalar": _scalar,
    "binary": _binary,
}
