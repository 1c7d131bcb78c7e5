"""What a way of searching keeps of exact search, and how long it takes: measured, not guessed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reindex.errors import ComparisonError
from reindex.protocols import Store
from reindex.records import Hit, SearchPlan, Vector

CANDIDATES = (2, 4, 8, 16, 32, 64)
SAME_SCORE = 1e-5  # cosines of one pair of vectors, computed along two paths, differ by less
WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Calibration:
    """The oversampling to serve with, its overlap with exact search, and all that was tried."""

    oversampling: int
    overlap: float
    kept: bool
    table: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """The share of exact search's results that a plan found, and the median of its times."""

    overlap: float
    p50_ms: float


class Trial:
    """Tries plans on one collection with the same queries; searches exactly once."""

    def __init__(self, store: Store, collection: str, query_vectors: Vector, k: int) -> None:
        self._store, self._collection, self._vectors = store, collection, query_vectors
        self.k = k
        self.exact = self._search(SearchPlan(k=k, exact=True, with_payload=False))

    def __call__(self, plan: SearchPlan) -> Tried:
        """Search with ``plan``, one query at a time."""
        for vector in self._vectors[:WARM_UP]:
            self._store.search(self._collection, vector, plan)
        taken, found = [], []
        for vector in self._vectors:
            start = time.perf_counter()
            found.append(self._store.search(self._collection, vector, plan))
            taken.append(time.perf_counter() - start)
        return Tried(overlap(self.exact, found), float(np.median(taken)) * 1e3)

    def same(self, one: SearchPlan, other: SearchPlan) -> bool:
        """Whether two plans find the same documents for every query."""
        pairs = zip(self._search(one), self._search(other), strict=True)
        return all({hit.point_id for hit in a} == {hit.point_id for hit in b} for a, b in pairs)

    def _search(self, plan: SearchPlan) -> list[list[Hit]]:
        return [self._store.search(self._collection, vector, plan) for vector in self._vectors]


def choose_oversampling(
    store: Store,
    collection: str,
    query_vectors: Vector,
    *,
    k: int = 10,
    keep: float = 0.99,
    candidates: Sequence[int] = CANDIDATES,
) -> Calibration:
    """The smallest oversampling whose two-stage top k holds ``keep`` of the exact top k.

    ``query_vectors`` is ``(n, dim)``. A result counts as found when it scores as well as the k-th
    exact one, so that equal documents do not count as losses. Where no candidate keeps enough,
    the largest comes back with ``kept`` False.

    Raises:
        ComparisonError: no query vectors, no candidates, or a collection without a first stage.
    """
    if store.info(collection).layout != "two-stage" or not len(query_vectors) or not candidates:
        raise ComparisonError(
            f"Calibration needs a two-stage collection, query vectors and candidates; {collection} "
            f"is '{store.info(collection).layout}', with {len(query_vectors)} query vectors and "
            f"{len(candidates)} candidates."
        )
    trial = Trial(store, collection, query_vectors, k)
    table: list[tuple[int, float]] = []
    for oversampling in sorted(candidates):
        plan = SearchPlan(k=k, two_stage=True, oversampling=oversampling, with_payload=False)
        table.append((oversampling, trial(plan).overlap))
        if table[-1][1] >= keep:
            break
    oversampling, kept = table[-1]
    return Calibration(oversampling, kept, kept >= keep, tuple(table))


def overlap(exact: Sequence[Sequence[Hit]], found: Sequence[Sequence[Hit]]) -> float:
    """Share of the exact results that were found, over all queries."""
    wanted = sum(len(hits) for hits in exact)
    got = sum(
        min(len(truth), sum(hit.score >= truth[-1].score - SAME_SCORE for hit in hits))
        for truth, hits in zip(exact, found, strict=True)
        if truth
    )
    return got / wanted if wanted else 1.0
