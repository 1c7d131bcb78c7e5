"""Figures of a version's int8 artifact: exact search among all documents of the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recipes import DIMS

from reindex.corpus.dead_letters import IgnoredLetters
from reindex.evaluation.groups import group_queries
from reindex.evaluation.metrics import per_query
from reindex.measures import Measure
from reindex.mining.nearest import embed
from reindex.project import Project
from reindex.records import Judgements, Vector
from reindex.registry.ledger import Version

K = 10
RECALL, NDCG = Measure("recall", K), Measure("ndcg", K)
PREFETCH = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """A model's figures, and its nDCG of each query ``(n,)`` with the queries' groups."""

    figures: dict[str, float]
    ndcg: NDArray[np.float64]
    groups: NDArray[np.int64]


def measure(project: Project, version: Version, judged: Judgements) -> Measured:
    """recall and nDCG at 10, full and at each of `DIMS`; vectors are kept in the project."""
    ids, texts = _documents(project)
    with project.remembering(project.encoder(version, tune=True)) as encoder:
        documents = embed(encoder, texts)
        queries = encoder.encode_queries([query.text for query in judged.queries])
    figures: dict[str, float] = {}
    scores = np.empty(0)
    for dim in DIMS:
        found = _scores(queries[:, :dim], documents[:, :dim], ids, judged)
        name = "" if dim == DIMS[0] else f"/{dim}"
        figures[f"recall@{K}{name}"] = float(found[str(RECALL)].mean())
        figures[f"ndcg@{K}{name}"] = float(found[str(NDCG)].mean())
        scores = scores if name else found[str(NDCG)]
        if name:
            found = _scores(queries[:, :dim], documents[:, :dim], ids, judged, (queries, documents))
            figures[f"recall@{K}{name} rescored"] = float(found[str(RECALL)].mean())
    return Measured(figures, scores, group_queries(judged))


def int8_over_fp32(project: Project, version: Version, judged: Judgements) -> float:
    """Recall of the int8 graph over that of the fp32 one, all documents and dimensions."""
    ids, texts = _documents(project)
    recalls = []
    for graph in ("int8", "fp32"):
        with project.remembering(project.encoder(version, graph=graph, tune=True)) as encoder:
            documents = embed(encoder, texts)
            queries = encoder.encode_queries([query.text for query in judged.queries])
        recalls.append(_scores(queries, documents, ids, judged)[str(RECALL)].mean())
    return float(recalls[0] / recalls[1])


def _documents(project: Project) -> tuple[list[str], list[str]]:
    found = [(str(item.id), item.text) for item in project.source.documents(IgnoredLetters())]
    return [id for id, _ in found], [text for _, text in found]


def _scores(
    queries: Vector,
    documents: Vector,
    ids: Sequence[str],
    judged: Judgements,
    full: tuple[Vector, Vector] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Of the nearest by these vectors; with ``full`` ones, `PREFETCH` are rescored by those."""
    run: dict[str, list[str]] = {}
    unit = documents / np.linalg.norm(documents, axis=1, keepdims=True)
    for row, query in enumerate(judged.queries):
        near = unit @ queries[row]
        if full is not None:
            first = np.argpartition(-near, PREFETCH)[:PREFETCH]
            rescored = np.full_like(near, -1.0)
            rescored[first] = full[1][first] @ full[0][row]
            near = rescored
        top = np.argpartition(-near, K)[:K]
        run[query.id] = [ids[place] for place in top[np.argsort(-near[top], kind="stable")]]
    found = per_query(run, judged.qrels, (RECALL, NDCG))
    return {
        name: np.array([values[query.id] for query in judged.queries])
        for name, values in found.items()
    }
