"""How many first-stage candidates two-stage search needs: measured per version, not guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reindex.errors import ComparisonError
from reindex.protocols import Store
from reindex.records import Hit, SearchPlan, Vector

CANDIDATES = (2, 4, 8, 16, 32, 64)
SAME_SCORE = 1e-5  # cosines of one pair of vectors, computed along two paths, differ by less


@dataclass(frozen=True, slots=True)
class Calibration:
    """The oversampling to serve with, its overlap with exact search, and all that was tried."""

    oversampling: int
    overlap: float
    kept: bool
    table: tuple[tuple[int, float], ...]


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
    exact = [
        store.search(collection, vector, SearchPlan(k=k, exact=True, with_payload=False))
        for vector in query_vectors
    ]
    table: list[tuple[int, float]] = []
    for oversampling in sorted(candidates):
        plan = SearchPlan(k=k, two_stage=True, oversampling=oversampling, with_payload=False)
        found = [store.search(collection, vector, plan) for vector in query_vectors]
        table.append((oversampling, _overlap(exact, found)))
        if table[-1][1] >= keep:
            break
    oversampling, overlap = table[-1]
    return Calibration(oversampling, overlap, overlap >= keep, tuple(table))


def _overlap(exact: Sequence[Sequence[Hit]], found: Sequence[Sequence[Hit]]) -> float:
    """Share of the exact results that were found, over all queries."""
    wanted = sum(len(hits) for hits in exact)
    got = sum(
        min(len(truth), sum(hit.score >= truth[-1].score - SAME_SCORE for hit in hits))
        for truth, hits in zip(exact, found, strict=True)
        if truth
    )
    return got / wanted if wanted else 1.0
