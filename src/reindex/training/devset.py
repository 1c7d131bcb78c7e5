"""The dev set: a small retrieval task that chooses the best checkpoint."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reindex.corpus.dead_letters import IgnoredLetters
from reindex.errors import DataError
from reindex.protocols import DocumentSource
from reindex.records import Judgements
from reindex.training.libraries import load, quiet, sentence_transformers_part

METRICS = ("ndcg@10", "recall@10", "mrr@10")
"""What is measured on the dev set; the first one chooses the checkpoint."""


@dataclass(frozen=True, slots=True)
class DevSet:
    """Queries, the documents to find them in, and per query the relevant documents."""

    queries: Mapping[str, str]
    corpus: Mapping[str, str]
    relevant: Mapping[str, frozenset[str]]

    @property
    def digest(self) -> str:
        """sha256 over all of it."""
        relevant = {query: sorted(ids) for query, ids in self.relevant.items()}
        content = json.dumps([dict(self.queries), dict(self.corpus), relevant], sort_keys=True)
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def make_dev_set(
    judgements: Judgements,
    source: DocumentSource,
    *,
    max_queries: int,
    max_documents: int,
    seed: int,
) -> DevSet:
    """Draw a dev set: some queries, their judged documents, and random others as distractors.

    The source is streamed once; a reservoir sample (Vitter's algorithm R) keeps the distractors.
    The judged documents of the drawn queries are all taken, even past ``max_documents``.
    Relevant documents that the source does not hold are left out, and so are queries without any.

    Raises:
        DataError: no query has a relevant document in the source.
    """
    generator = random.Random(seed)  # noqa: S311
    queries = _draw_queries(judgements, max_queries, generator)
    judged = {doc for query in queries for doc in judgements.qrels[query]}
    found, spare = _draw_documents(source, judged, max_documents, generator)
    relevant = {
        query: frozenset(
            doc for doc, grade in judgements.qrels[query].items() if grade > 0 and doc in found
        )
        for query in queries
    }
    relevant = {query: ids for query, ids in relevant.items() if ids}
    if not relevant:
        raise DataError(
            f"Expected dev queries whose relevant documents are in {source.name}, got none of "
            f"{len(queries)}. Check that the ids in the dev qrels are those of the source."
        )
    corpus = found | dict(spare[: max(0, max_documents - len(found))])
    return DevSet({query: queries[query] for query in relevant}, corpus, relevant)


def _draw_queries(
    judgements: Judgements, max_queries: int, generator: random.Random
) -> dict[str, str]:
    usable = [
        query
        for query in judgements.queries
        if any(grade > 0 for grade in judgements.qrels.get(query.id, {}).values())
    ]
    if len(usable) > max_queries:
        usable = generator.sample(usable, max_queries)
    return {query.id: query.text for query in usable}


def _draw_documents(
    source: DocumentSource, judged: set[str], max_documents: int, generator: random.Random
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The judged documents, and a random sample of the others, in random order."""
    found: dict[str, str] = {}
    spare: list[tuple[str, str]] = []
    seen = 0
    for document in source.documents(IgnoredLetters()):
        key = str(document.id)
        if key in judged:
            found[key] = document.text
            continue
        seen += 1
        if len(spare) < max_documents:
            spare.append((key, document.text))
        elif (place := generator.randrange(seen)) < max_documents:
            spare[place] = (key, document.text)
    generator.shuffle(spare)
    return found, spare


def make_evaluator(dev: DevSet, *, batch_size: int) -> Any:
    """sentence-transformers' evaluator for a dev set: cosine, full dimension, cut-off 10."""
    evaluation = sentence_transformers_part("evaluation")
    similarity = load("sentence_transformers.util")
    return evaluation.InformationRetrievalEvaluator(
        queries=dict(dev.queries),
        corpus=dict(dev.corpus),
        relevant_docs={query: set(ids) for query, ids in dev.relevant.items()},
        score_functions={"cosine": similarity.cos_sim},
        main_score_function="cosine",
        mrr_at_k=[10],
        ndcg_at_k=[10],
        accuracy_at_k=[10],
        precision_recall_at_k=[10],
        map_at_k=[10],
        batch_size=batch_size,
        write_csv=False,
    )


def read_metrics(logged: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """`METRICS` from what the evaluator returned or the trainer logged."""
    return {name: float(logged[f"{prefix}cosine_{name}"]) for name in METRICS}


def evaluate(model: Any, evaluator: Any) -> dict[str, float]:
    """Measure a model on the dev set."""
    with quiet():
        return read_metrics(evaluator(model))
