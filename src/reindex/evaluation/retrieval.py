"""Retrieval for the comparison: through the store, as serving does it, and exactly beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from reindex.errors import ComparisonError, SpaceMismatch
from reindex.evaluation.results import Latency, SideRecord
from reindex.protocols import Encoder, Progress, Store, no_progress
from reindex.records import (
    CollectionInfo,
    PointId,
    Query,
    SearchPlan,
    StoredPoint,
    Vector,
    point_id,
)

LATENCY_QUERIES = (50, 200)
"""At least so many queries are timed (repeating them where fewer are judged), at most so many."""
WARM_UP = 5
RETRIEVE_BATCH = 512


@dataclass(frozen=True, slots=True)
class Side:
    """A version with its physical collection and the encoder that belongs to it.

    ``dims`` are the Matryoshka dimensions to report; ``fp32`` loads the same version's
    full-precision graph, where there is one.
    """

    version: str
    collection: str
    encoder: Encoder
    oversampling: int
    dims: tuple[int, ...]
    fp32: Callable[[], Encoder] | None = None
    hnsw_ef: int | None = None


@dataclass(frozen=True, slots=True)
class OpenSide:
    """A side whose collection and encoder were found to be of one space."""

    side: Side
    info: CollectionInfo
    store: Store

    def plan(self, k: int) -> SearchPlan:
        """How serving searches this collection."""
        two_stage = self.info.layout == "two-stage"
        return SearchPlan(
            k=k,
            two_stage=two_stage,
            oversampling=self.side.oversampling,
            hnsw_ef=self.side.hnsw_ef,
        )

    def search(
        self, vectors: Vector, plan: SearchPlan, tick: Callable[[], None] = lambda: None
    ) -> list[dict[str, float]]:
        """Document -> score, best first, for each query vector of ``(n, dim)``."""
        found = []
        for vector in vectors:
            scores: dict[str, float] = {}
            for hit in self.store.search(self.side.collection, vector, plan):
                scores.setdefault(str(hit.id), hit.score)  # listed twice, its better rank counts
            found.append(scores)
            tick()
        return found

    def record(self) -> SideRecord:
        """What the comparison keeps of this side."""
        side, info = self.side, self.info
        return SideRecord(
            version=side.version,
            collection=side.collection,
            space=side.encoder.space,
            encoding=side.encoder.encoding,
            build=str(info.metadata.get("build", "")),
            points=info.points,
            dim=info.dim,
            layout=info.layout,
            prefix_dim=info.prefix_dim,
            oversampling=side.oversampling,
            hnsw_ef=side.hnsw_ef,
        )


def open_side(store: Store, side: Side) -> OpenSide:
    """Look the collection up and make sure that the side's encoder wrote it.

    Raises:
        CollectionNotFound: there is no such collection.
        SpaceMismatch: the collection is of another space, of none, or of another dimension.
        ComparisonError: it is empty.
    """
    info = store.info(side.collection)
    space = info.metadata.get("space")
    if space != side.encoder.space or info.dim != side.encoder.dim:
        raise SpaceMismatch(
            f"{side.collection} holds vectors of space {_short(space)} ({info.dim} dims), but the "
            f"encoder of {side.version} makes vectors of space {_short(side.encoder.space)} "
            f"({side.encoder.dim} dims). Compare each version on its own collection: "
            f"reindex build {side.version}"
        )
    if not info.points:
        raise ComparisonError(
            f"{side.collection} is empty. Fill it first: reindex build {side.version}"
        )
    return OpenSide(side, info, store)


def _short(space: object) -> str:
    return str(space)[:12] if space else "none"


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of one side (query id -> document ids, best first).

    ``served`` is what a search for ``k`` results finds, ``deep`` one for more, where a metric looks
    further (empty otherwise). They are two searches, for the first stage of the deeper one has more
    candidates, so that its first k may be better than what serving gives. ``exact`` is as deep as
    the deeper. ``scores`` are those of the served run: query id -> document -> score.
    ``truncated`` is two-stage search whose first stage scans every prefix: truncation without the
    approximate index (empty in the single layout).
    """

    k: int
    served: dict[str, list[str]]
    exact: dict[str, list[str]]
    deep: dict[str, list[str]]
    scores: dict[str, dict[str, float]]
    truncated: dict[str, list[str]]


def runs_of(
    opened: OpenSide,
    queries: Sequence[Query],
    k: int,
    progress: Progress,
    *,
    depth: int = 0,
    judged: int = 0,
    exact: bool = True,
) -> Runs:
    """Search for k results as served, for ``depth`` where that is more, and exactly if ``exact``.

    ``judged`` is how far the judged metric looks; ``truncated`` is as the search that it is of. A
    run that was not asked for is empty.
    """
    ids = [query.id for query in queries]
    vectors = opened.side.encoder.encode_queries([query.text for query in queries])
    plans = {"served": opened.plan(k)}
    if depth > k:
        plans["deep"] = opened.plan(depth)
    if exact:
        plans["exact"] = SearchPlan(k=max(k, depth), exact=True)
    if exact and plans["served"].two_stage:
        plans["truncated"] = replace(plans["deep" if judged > k else "served"], exact=True)
    tick = _ticker(progress, f"searching {opened.side.collection}", len(plans) * len(ids))
    found = {
        name: dict(zip(ids, opened.search(vectors, plan, tick), strict=True))
        for name, plan in plans.items()
    }
    ranked = {
        name: {query: list(scores) for query, scores in run.items()} for name, run in found.items()
    }
    runs = {name: ranked.get(name, {}) for name in ("served", "exact", "deep", "truncated")}
    return Runs(k, **runs, scores=found["served"])


def _ticker(progress: Progress, stage: str, total: int) -> Callable[[], None]:
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if done % 50 == 0 or done == total:
            progress(stage, done, total)

    return tick


def measure_latency(
    live: OpenSide,
    candidate: OpenSide,
    queries: Sequence[Query],
    k: int,
    progress: Progress = no_progress,
) -> tuple[Latency, Latency]:
    """Time both sides, one query at a time and in turns, so that a busy machine hits both."""
    least, most = LATENCY_QUERIES
    times = min(max(least, len(queries)), most)
    texts = [queries[number % len(queries)].text for number in range(times)]
    sides = (live, candidate)
    for opened in sides:
        for text in texts[:WARM_UP]:
            _timed(opened, text, k)
    taken: list[list[tuple[float, float]]] = [[], []]
    for number, text in enumerate(texts):
        for opened, series in zip(sides, taken, strict=True):
            series.append(_timed(opened, text, k))
        if (number + 1) % 50 == 0:
            progress("timing", number + 1, times)
    return _latency(taken[0]), _latency(taken[1])


def _timed(opened: OpenSide, text: str, k: int) -> tuple[float, float]:
    """Milliseconds of encoding and of searching."""
    start = time.perf_counter()
    vector = opened.side.encoder.encode_queries([text])[0]
    encoded = time.perf_counter()
    opened.store.search(opened.side.collection, vector, opened.plan(k))
    return (encoded - start) * 1e3, (time.perf_counter() - encoded) * 1e3


def _latency(taken: Sequence[tuple[float, float]]) -> Latency:
    encode, search = np.array(taken).T
    p50, p95 = np.quantile(encode + search, [0.5, 0.95])
    return Latency(
        queries=len(taken),
        p50_ms=float(p50),
        p95_ms=float(p95),
        encode_p50_ms=float(np.median(encode)),
        search_p50_ms=float(np.median(search)),
    )


def document_id(point: StoredPoint) -> str:
    """The source's own id of a stored point, as judgements write it."""
    return str(point.stamp.id if point.stamp else point.id)


def locate(
    opened: OpenSide, documents: Sequence[str], *, with_vector: bool = False
) -> dict[str, StoredPoint]:
    """The stored points of a side, as `locate_in` finds them."""
    return locate_in(opened.store, opened.side.collection, documents, with_vector=with_vector)


def locate_in(
    store: Store,
    collection: str,
    documents: Sequence[str],
    *,
    with_payload: bool = False,
    with_vector: bool = False,
) -> dict[str, StoredPoint]:
    """The stored points of those ``documents`` (ids as in the judgements) that exist.

    Judgements write every id as text, so a decimal id is looked up as a number too.
    """
    wanted = frozenset(documents)
    found: dict[str, StoredPoint] = {}
    ids = (id for document in documents for id in _possible_ids(document))
    while batch := list(islice(ids, RETRIEVE_BATCH)):
        points = store.retrieve(
            collection, batch, with_payload=with_payload, with_vector=with_vector
        )
        found |= {document_id(point): point for point in points.values()}
    return {document: point for document, point in found.items() if document in wanted}


def _possible_ids(document: str) -> Iterator[PointId]:
    yield point_id(document)
    if document.isdecimal() and str(int(document)) == document:
        number = point_id(int(document))
        if number != point_id(document):
            yield number


def missing_documents(opened: OpenSide, documents: Sequence[str]) -> int:
    """How many relevant ``documents`` the collection lacks.

    Raises:
        ComparisonError: it lacks all of them, so the ids of judgements and collection differ.
    """
    found = locate(opened, documents)
    if not found:
        page = next(opened.store.scroll(opened.side.collection, page=1))
        raise ComparisonError(
            f"None of the {len(documents):,} relevant documents of the judgements is in "
            f"{opened.side.collection}: their ids do not match. Judged, for example: "
            f"{documents[0]!r}; stored, for example: {document_id(page[0])!r}. Use the source's "
            "ids in the judgements (source.id_field)."
        )
    return len(documents) - len(found)
