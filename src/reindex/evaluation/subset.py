"""A judged subset with distractors, searched exactly in numpy on stored vectors.

Small enough to embed again in full precision and to search at every Matryoshka dimension. Fewer
documents are easier to tell apart, so its recall is higher than on the whole collection: only
differences between its rows mean something.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reindex.errors import SpaceMismatch
from reindex.evaluation.metrics import Scores, answerable, depth_of, macro, per_query
from reindex.evaluation.results import DimensionRow, PrecisionRow
from reindex.evaluation.retrieval import RETRIEVE_BATCH, OpenSide, document_id, locate
from reindex.measures import Measure
from reindex.protocols import Encoder, Progress, RememberingEncoder, Store
from reindex.records import Judgements, PointId, Qrels, Query, Vector, text_hash

QUERY_BLOCK = 256
ENCODE_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """Documents that both sides hold, their stored vectors, and the queries they answer.

    ``live`` and ``candidate`` are ``(n, dim)`` unit vectors in the order of ``documents``.
    """

    documents: tuple[str, ...]
    queries: tuple[Query, ...]
    qrels: Qrels
    live: Vector
    candidate: Vector

    def restricted_to(self, documents: Mapping[str, str]) -> Subset:
        """The part whose documents are among ``documents``."""
        rows = [row for row, id in enumerate(self.documents) if id in documents]
        kept = tuple(self.documents[row] for row in rows)
        queries, qrels = _restrict(self.queries, self.qrels, frozenset(kept))
        return replace(
            self,
            documents=kept,
            queries=queries,
            qrels=qrels,
            live=self.live[rows],
            candidate=self.candidate[rows],
        )


def draw_subset(
    live: OpenSide, candidate: OpenSide, judgements: Judgements, *, limit: int, seed: int
) -> Subset:
    """Up to ``limit`` documents: the relevant ones of random queries, then random distractors.

    Relevant documents take half of the limit at most (one query's always fit), so that there is
    something to confuse them with. Distractors come from one scroll of the candidate by reservoir
    sampling (Vitter 1985, algorithm R). Documents that only one side holds are left out.
    """
    rng = np.random.default_rng(seed)
    relevant = _some_relevant(judgements, limit // 2, rng)
    judged = {id: point.id for id, point in locate(candidate, relevant).items()}
    points = [*judged.values()]
    points += random_points(
        candidate.store, candidate.side.collection, limit - len(points), rng, frozenset(points)
    )
    ours, theirs = _vectors(candidate, points), _vectors(live, points)
    documents = tuple(id for id in ours if id in theirs)
    queries, qrels = _restrict(judgements.queries, judgements.qrels, frozenset(documents))
    return Subset(
        documents=documents,
        queries=queries,
        qrels=qrels,
        live=_stack(theirs, documents, live.info.dim),
        candidate=_stack(ours, documents, candidate.info.dim),
    )


def _some_relevant(judgements: Judgements, limit: int, rng: np.random.Generator) -> list[str]:
    """The relevant documents of queries in random order, as long as they fit."""
    chosen: dict[str, None] = {}
    for position in rng.permutation(len(judgements.queries)):
        judged = judgements.qrels[judgements.queries[position].id]
        more = [document for document, grade in judged.items() if grade >= 1]
        if not chosen or len(chosen.keys() | more) <= limit:
            chosen |= dict.fromkeys(more)
    return list(chosen)


def random_points(
    store: Store,
    collection: str,
    size: int,
    rng: np.random.Generator,
    taken: Container[PointId] = frozenset(),
) -> list[PointId]:
    """``size`` random points besides ``taken``, from a single scroll, in bounded memory."""
    kept: list[PointId] = []
    seen = 0
    for page in store.scroll(collection):
        for point in page:
            if point.id in taken:
                continue
            seen += 1
            if len(kept) < size:
                kept.append(point.id)
            elif (place := int(rng.integers(seen))) < size:
                kept[place] = point.id
    return kept


def _vectors(opened: OpenSide, points: Sequence[PointId]) -> dict[str, Vector]:
    """Stored vectors by document id, of those points that exist."""
    found: dict[str, Vector] = {}
    for start in range(0, len(points), RETRIEVE_BATCH):
        batch = points[start : start + RETRIEVE_BATCH]
        read = opened.store.retrieve(opened.side.collection, batch, with_vector=True)
        for id in batch:
            if id in read and (vector := read[id].vector) is not None:
                found[document_id(read[id])] = vector
    return found


def _stack(vectors: Mapping[str, Vector], documents: Sequence[str], dim: int) -> Vector:
    if not documents:
        return np.zeros((0, dim), dtype=np.float32)
    return np.stack([vectors[document] for document in documents]).astype(np.float32)


def _restrict(
    queries: Sequence[Query], qrels: Qrels, documents: frozenset[str]
) -> tuple[tuple[Query, ...], Qrels]:
    """Judgements on ``documents`` alone, and the queries all of whose answers are among them."""
    complete = {
        query: {id: grade for id, grade in judged.items() if id in documents}
        for query, judged in answerable(qrels).items()
        if all(id in documents for id, grade in judged.items() if grade)
    }
    return tuple(query for query in queries if query.id in complete), complete


def dimension_rows(
    live: OpenSide, candidate: OpenSide, subset: Subset, k: int
) -> tuple[DimensionRow, ...]:
    """Recall at k of both sides at every Matryoshka dimension of either, largest first."""
    dims = sorted(
        {live.info.dim, candidate.info.dim, *live.side.dims, *candidate.side.dims}, reverse=True
    )
    columns = [
        _column(live, subset, subset.live, dims, k),
        _column(candidate, subset, subset.candidate, dims, k),
    ]
    return tuple(
        DimensionRow(dim, *columns[0].get(dim, (None, None)), *columns[1].get(dim, (None, None)))
        for dim in dims
    )


def _column(
    opened: OpenSide, subset: Subset, documents: Vector, dims: Sequence[int], k: int
) -> dict[int, tuple[float, float | None]]:
    """dim -> recall, and its share of the full dimension's recall."""
    queries = opened.side.encoder.encode_queries([query.text for query in subset.queries])
    recalls = {
        dim: _recall(subset, truncate(queries, dim), truncate(documents, dim), k)
        for dim in dims
        if dim <= opened.info.dim
    }
    full = recalls[opened.info.dim]
    return {dim: (recall, recall / full if full else None) for dim, recall in recalls.items()}


@dataclass(frozen=True, slots=True)
class Precision:
    """One side on the subset: the fp32 graph on both sides of the search, and what serves.

    Both map measure -> query id -> value, on the same queries and documents.
    """

    documents: int
    fp32: Scores
    served: Scores


def measure_precision(
    opened: OpenSide,
    vectors: Vector,
    subset: Subset,
    texts: Mapping[str, str],
    measures: Sequence[Measure],
    progress: Progress,
) -> Precision | None:
    """Search the subset in full precision and with the side's stored ``vectors``, both exactly.

    ``vectors`` is ``(n, dim)`` in the order of ``subset.documents``; ``texts`` are the embedded
    texts by document id, and documents without one are left out. None without an fp32 graph,
    texts or queries.

    Raises:
        SpaceMismatch: the fp32 graph is not of the side's space.
    """
    part = subset.restricted_to(texts)
    if opened.side.fp32 is None or not part.queries:
        return None
    fp32 = opened.side.fp32()
    if fp32.space != opened.side.encoder.space:
        raise SpaceMismatch(
            f"The fp32 graph of {opened.side.version} is of space {fp32.space[:12]}, expected "
            f"{opened.side.encoder.space[:12]}: it is another version's. Export it again."
        )
    rows = [row for row, id in enumerate(subset.documents) if id in texts]
    queries = [query.text for query in part.queries]
    progress("embedding in fp32", 0, len(part.documents))
    documents = _encode(fp32, [texts[id] for id in part.documents], progress)
    return Precision(
        documents=len(part.documents),
        fp32=_scores(part, fp32.encode_queries(queries), documents, measures),
        served=_scores(part, opened.side.encoder.encode_queries(queries), vectors[rows], measures),
    )


def precision_rows(measured: Precision | None) -> tuple[PrecisionRow, ...]:
    """Every measure in full precision against what serves; none where it was not measured."""
    if measured is None:
        return ()
    means = {
        name: (macro(values), macro(measured.served[name]))
        for name, values in measured.fp32.items()
    }
    return tuple(
        PrecisionRow(name=name, fp32=before, served=after, change=_change(before, after))
        for name, (before, after) in means.items()
    )


def _change(before: float, after: float) -> float:
    return after / before - 1 if before else 0.0


def _encode(encoder: Encoder, texts: Sequence[str], progress: Progress) -> Vector:
    parts = []
    for start in range(0, len(texts), ENCODE_BATCH):
        parts.append(encode_known(encoder, texts[start : start + ENCODE_BATCH]))
        progress("embedding in fp32", min(start + ENCODE_BATCH, len(texts)), len(texts))
    return np.concatenate(parts)


def encode_known(encoder: Encoder, texts: Sequence[str]) -> Vector:
    """``(n, dim)`` vectors of documents; those that a remembering encoder knows are not computed
    again, and it gets to know the others.
    """
    if not isinstance(encoder, RememberingEncoder):
        return encoder.encode_documents(texts)
    hashes = [text_hash(text) for text in texts]
    known = encoder.recall(hashes)
    missing = {hash: text for hash, text in zip(hashes, texts, strict=True) if hash not in known}
    if missing:
        made = dict(zip(missing, encoder.encode_documents(list(missing.values())), strict=True))
        encoder.remember(made)
        known |= made
    return np.stack([known[hash] for hash in hashes])


def truncate(vectors: Vector, dim: int) -> Vector:
    """The first ``dim`` dimensions, brought back to unit length."""
    part = vectors[:, :dim]
    lengths = np.linalg.norm(part, axis=1, keepdims=True)
    scaled: Vector = (part / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled


def _recall(subset: Subset, queries: Vector, documents: Vector, k: int) -> float:
    recall = Measure("recall", k)
    return macro(_scores(subset, queries, documents, [recall])[str(recall)])


def _scores(
    subset: Subset, queries: Vector, documents: Vector, measures: Sequence[Measure]
) -> Scores:
    judged = Judgements(subset.queries, subset.qrels)
    return exact_scores(judged, queries, subset.documents, documents, measures)


def exact_scores(
    judged: Judgements,
    queries: Vector,
    ids: Sequence[str],
    documents: Vector,
    measures: Sequence[Measure],
) -> Scores:
    """Metrics of brute-force search, in blocks of queries.

    ``queries`` is ``(n, dim)`` in the order of the judged ones, ``documents`` ``(m, dim)`` in the
    order of ``ids``.
    """
    run: dict[str, list[str]] = {}
    for start in range(0, len(queries), QUERY_BLOCK):
        similar = queries[start : start + QUERY_BLOCK] @ documents.T
        best = np.argsort(-similar, axis=1, kind="stable")[:, : depth_of(measures)]
        for query, row in zip(judged.queries[start : start + QUERY_BLOCK], best, strict=True):
            run[query.id] = [ids[position] for position in row]
    return per_query(run, judged.qrels, measures)
