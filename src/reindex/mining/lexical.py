"""Candidates by BM25 (bm25s): documents that share a query's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from reindex.evaluation.baselines import bm25_words, import_bm25s
from reindex.mining.candidates import NONE, Candidates
from reindex.mining.snapshot import Snapshot
from reindex.protocols import Progress

PART = 200_000
"""Documents of one index. A larger corpus is searched part by part: each part weighs words by its
own documents, and the scores are merged as they are."""
_TOKENISED = 2_000
_ASKED = 500


def bm25_candidates(
    queries: Sequence[str], snapshot: Snapshot, depth: int, progress: Progress, *, part: int = PART
) -> Candidates:
    """The first ``depth`` documents for each query that share a word with it.

    BM25 as Lucene has it (k1 = 1.5, b = 0.75), English stop words, no stemming. An index holds
    only words that some query has (the others count for a document's length alone): 8 bytes for
    each of them in each document, and while it is made 8 more for each word of a document.

    Raises:
        MissingExtra: bm25s is not installed.
    """
    library = import_bm25s()
    asked = bm25_words(library, queries)
    vocabulary = {word: at for at, word in enumerate(sorted({w for row in asked for w in row}))}
    found = Candidates.empty("bm25", len(queries))
    if not vocabulary:
        return found
    asked = [[word for word in row if word in vocabulary] for row in asked]
    for first, documents in _parts(library, snapshot, vocabulary, part, progress):
        if not any(documents):  # images alone: an index needs a word
            continue
        index = library.BM25(method="lucene", k1=1.5, b=0.75)
        index.index((documents, dict(vocabulary)), show_progress=False)
        depth_here = min(depth, len(documents))
        found = found.best(_ask(index, asked, first, depth_here, progress), depth)
    return found


def _parts(
    library: Any, snapshot: Snapshot, vocabulary: dict[str, int], part: int, progress: Progress
) -> Iterator[tuple[int, list[list[int]]]]:
    """Documents as the numbers of their words; a word that nobody asks for has the last number."""
    other = vocabulary.setdefault("", len(vocabulary))
    documents: list[list[int]] = []
    first = 0
    for start, texts in snapshot.blocks(min(_TOKENISED, part)):
        if len(documents) + len(texts) > part:
            yield first, documents
            first, documents = start, []
        words = bm25_words(library, texts)
        documents.extend([vocabulary.get(word, other) for word in row] for row in words)
        progress("bm25 index", start + len(texts), len(snapshot))
    yield first, documents


def _ask(
    index: Any, asked: Sequence[Sequence[str]], first: int, depth: int, progress: Progress
) -> Candidates:
    numbers = np.full((len(asked), depth), NONE, np.int64)
    scores = np.full((len(asked), depth), -np.inf, np.float32)
    for start in range(0, len(asked), _ASKED):
        rows = list(asked[start : start + _ASKED])
        documents, values = index.retrieve(rows, k=depth, show_progress=False)
        shared = np.asarray(values) > 0
        part = slice(start, start + len(rows))
        numbers[part] = np.where(shared, np.asarray(documents) + first, NONE)
        scores[part] = np.where(shared, values, -np.inf)
        progress("bm25", start + len(rows), len(asked))
    return Candidates("bm25", numbers, scores)
