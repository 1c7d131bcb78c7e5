"""Rows beside the comparison: BM25 on the same documents with the same judgements."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from reindex.errors import MissingExtra
from reindex.evaluation.metrics import depth_of, macro, per_query
from reindex.evaluation.results import BaselineRow
from reindex.measures import Measure
from reindex.protocols import Progress
from reindex.records import Document, Qrels, Query, image_path


def read_texts(
    documents: Iterable[Document], wanted: frozenset[str] | None, progress: Progress
) -> dict[str, str]:
    """The embedded texts of the ``wanted`` documents by id; of all where ``wanted`` is None."""
    texts: dict[str, str] = {}
    for number, document in enumerate(documents, start=1):
        if wanted is None or str(document.id) in wanted:
            texts[str(document.id)] = document.text
        if number % 10_000 == 0:
            progress("reading documents", number, None)
    return texts


def bm25_row(
    texts: Mapping[str, str], queries: Sequence[Query], qrels: Qrels, measures: Sequence[Measure]
) -> BaselineRow:
    """BM25 (bm25s, Lucene's variant, k1 = 1.5, b = 0.75, English stop words) over ``texts``.

    Memory grows with the corpus. A document without any of the query's words is no result.

    Raises:
        MissingExtra: bm25s is not installed.
    """
    run = bm25_run(texts, queries, depth_of(measures))
    scores = per_query(run, qrels, measures)
    return BaselineRow("BM25", {measure: macro(values) for measure, values in scores.items()})


def bm25_run(texts: Mapping[str, str], queries: Sequence[Query], k: int) -> dict[str, list[str]]:
    """BM25's first k documents for each query, best first. Raises MissingExtra."""
    bm25s = import_bm25s()
    ids, words = list(texts), bm25_words(bm25s, list(texts.values()))
    if not any(words):
        return {}
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(words, show_progress=False)
    asked = bm25_words(bm25s, [query.text for query in queries])
    found, scores = index.retrieve(asked, k=min(k, len(ids)), show_progress=False)
    return {
        query.id: [ids[int(row)] for row, score in zip(rows, values, strict=True) if score > 0]
        for query, rows, values in zip(queries, np.asarray(found), np.asarray(scores), strict=True)
    }


def bm25_words(bm25s: Any, texts: Sequence[str]) -> list[list[str]]:
    """Words as strings, so that words of queries that no document has do no harm.

    English stop words are left out, nothing is stemmed, and an image has no words.
    """
    words: list[list[str]] = bm25s.tokenize(
        ["" if image_path(text) else text for text in texts],
        stopwords="en",
        return_ids=False,
        show_progress=False,
    )
    return words


def import_bm25s() -> Any:
    """The bm25s package. Raises MissingExtra where it is not installed."""
    try:
        import bm25s
    except ImportError:
        raise MissingExtra("train", "bm25s") from None
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it logs its steps at DEBUG, unasked
    return bm25s
