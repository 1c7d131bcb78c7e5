"""The front of a collection: what each way of searching it finds, takes and needs.

Its own layout is measured through the store, as serving searches; others are computed from its
vectors (`reindex.evaluation.layouts`), exactly but for the approximate index.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reindex.errors import ComparisonError
from reindex.evaluation.calibrate import Trial
from reindex.evaluation.layouts import FirstStage, estimate_stages
from reindex.forecast import Shape
from reindex.protocols import Progress, Store, no_progress
from reindex.records import CollectionInfo, SearchPlan, Vector

OVERSAMPLINGS = (1, 2, 4, 8, 16, 32, 64)
EFS = (16, 32, 64, 128, 256, 512)
ENOUGH = 0.9995
"""Recall past which more candidates are not tried."""
DEFAULT_EF = 100
"""What Qdrant takes where nothing is asked for: the width that the graph was built with."""


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One way of searching. ``recall`` is at k against exact search of the same vectors.

    ``prefix_dim`` is None where full vectors are searched at once; ``hnsw_ef`` None is the
    engine's default. ``p50_ms`` is None for layouts that the collection does not have: those are
    computed, and take another build. ``memory`` is in bytes, of what is searched first.
    """

    prefix_dim: int | None
    quantization: str
    oversampling: int
    hnsw_ef: int | None
    recall: float
    p50_ms: float | None
    memory: int

    @property
    def measured(self) -> bool:
        """Whether this collection can be searched so."""
        return self.p50_ms is not None


@dataclass(frozen=True, slots=True)
class Front:
    """All that was tried on a collection, and the point to serve with.

    ``chosen`` is the fastest measured point that reaches ``target``, or the best one where none
    does (``reached`` is False). ``smaller`` reach the target in less memory after another build.
    """

    collection: str
    k: int
    target: float
    queries: int
    asked: str
    points: tuple[FrontPoint, ...]
    chosen: FrontPoint
    reached: bool

    @property
    def smaller(self) -> tuple[FrontPoint, ...]:
        """Other layouts that reach the target and need less memory, the smallest first."""
        found = [
            point
            for point in self.points
            if not point.measured
            and point.recall >= self.target
            and point.memory < self.chosen.memory
        ]
        return tuple(sorted(found, key=lambda point: (point.memory, point.oversampling)))


@dataclass(frozen=True, slots=True)
class Ask:
    """What to measure: at ``k``, until ``target``; ``stages`` are the other layouts to compute.

    ``asked`` says in words what the queries are; ``quantization`` is the collection's own.
    """

    k: int
    target: float
    asked: str
    server: bool = False
    quantization: str = "none"
    stages: tuple[FirstStage, ...] = ()


def measure_front(
    store: Store,
    collection: str,
    query_vectors: Vector,
    ask: Ask,
    progress: Progress = no_progress,
) -> Front:
    """Measure the collection's own layout, compute the others, and choose.

    ``query_vectors`` is ``(n, dim)``.

    Raises:
        ComparisonError: no query vectors, or an empty collection.
    """
    info = store.info(collection)
    if not len(query_vectors) or not info.points:
        raise ComparisonError(
            f"A front needs queries and points; got {len(query_vectors)} queries and "
            f"{info.points} points of {collection}."
        )
    measured = tuple(_measured(store, info, query_vectors, ask, progress))
    computed = tuple(_computed(store, info, query_vectors, ask, progress))
    chosen = choose(measured, ask.target)
    return Front(
        collection=collection,
        k=ask.k,
        target=ask.target,
        queries=len(query_vectors),
        asked=ask.asked,
        points=measured + computed,
        chosen=chosen,
        reached=chosen.recall >= ask.target,
    )


def choose(points: Sequence[FrontPoint], target: float) -> FrontPoint:
    """The fastest point that reaches the target, of those that no other reaches with less work.

    A point that takes no more candidates and searches the graph no wider is faster, whatever a
    busy machine's clock says; the clock decides between the two. Where none reaches the target,
    the one with the best recall.
    """
    good = [point for point in points if point.measured and point.recall >= target]
    if not good:
        return max(points, key=lambda point: point.recall)
    least = [one for one in good if not any(_less_work(other, one) for other in good)]
    return min(least, key=lambda point: point.p50_ms or 0.0)


def _less_work(one: FrontPoint, other: FrontPoint) -> bool:
    work, more = _work(one), _work(other)
    return work != more and all(a <= b for a, b in zip(work, more, strict=True))


def _work(point: FrontPoint) -> tuple[int, int]:
    return point.oversampling, point.hnsw_ef or DEFAULT_EF


def _measured(
    store: Store, info: CollectionInfo, vectors: Vector, ask: Ask, progress: Progress
) -> Iterator[FrontPoint]:
    trial = Trial(store, info.name, vectors, ask.k)
    staged = info.layout == "two-stage"
    memory = _memory(info, ask, FirstStage(info.prefix_dim or info.dim, ask.quantization))
    tried = 0
    for ef in _efs(trial, staged=staged):
        for oversampling in OVERSAMPLINGS if staged else (1,):
            if ef is not None and ef <= oversampling * ask.k:
                continue  # engines search at least as wide as they are asked for results
            found = trial(_plan(ask.k, oversampling, ef, staged=staged))
            tried += 1
            progress(f"measuring {info.name}", tried, None)
            yield FrontPoint(
                info.prefix_dim, ask.quantization, oversampling, ef, found.overlap, found.p50_ms,
                memory,
            )  # fmt: skip
            if found.overlap >= max(ask.target, ENOUGH):
                break


def _plan(k: int, oversampling: int, ef: int | None, *, staged: bool) -> SearchPlan:
    return SearchPlan(
        k=k, two_stage=staged, oversampling=oversampling, hnsw_ef=ef, with_payload=False
    )


def _efs(trial: Trial, *, staged: bool) -> tuple[int | None, ...]:
    """The widths of the graph's search to try: only the default where there is no graph, so that
    the narrowest search finds just what a scan finds.
    """
    narrow = _plan(trial.k, 1, EFS[0], staged=staged)
    scan = SearchPlan(k=trial.k, two_stage=staged, oversampling=1, exact=True, with_payload=False)
    return (None,) if trial.same(narrow, scan) else (None, *EFS)


def _computed(
    store: Store, info: CollectionInfo, vectors: Vector, ask: Ask, progress: Progress
) -> Iterator[FrontPoint]:
    """Of each other layout the fewest candidates that reach the target, or the most tried."""
    if not ask.stages:
        return
    found = estimate_stages(
        store, info.name, vectors, ask.stages, k=ask.k, candidates=OVERSAMPLINGS, progress=progress
    )
    for stage in ask.stages:
        rows = [row for row in found if row.stage == stage]
        row = next((row for row in rows if row.recall >= ask.target), rows[-1])
        yield FrontPoint(
            stage.dim, stage.quantization, row.oversampling, None, row.recall, None,
            _memory(info, ask, stage),
        )  # fmt: skip


def _memory(info: CollectionInfo, ask: Ask, stage: FirstStage) -> int:
    return Shape(
        info.points, info.dim, stage.dim, 0, server=ask.server, quantization=stage.quantization
    ).memory
