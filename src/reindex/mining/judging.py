"""Judges: how well a document answers a query, so that it can be held beside the positive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from reindex.mining.candidates import Numbers
from reindex.mining.nearest import BLOCK, embed
from reindex.mining.snapshot import Snapshot
from reindex.protocols import Encoder, Progress
from reindex.records import Vector, text_hash
from reindex.vector_cache import VectorCache

PAIRS = 256
"""Pairs that a cross-encoder scores between two writes."""


class Judge(Protocol):
    """Scores pairs of a query, by its number, and a text. Higher is better."""

    def texts(self, rows: Numbers, texts: Sequence[str]) -> Vector:
        """``(n,)``: query ``rows[i]`` with ``texts[i]``."""

    def documents(self, rows: Numbers, numbers: Numbers) -> Vector:
        """``(n,)``: query ``rows[i]`` with the document ``numbers[i]`` of the snapshot."""


class ModelJudge:
    """The cosine of a model's vectors.

    Args:
        encoder: embeds documents; what it remembers is not embedded again.
        queries: its vectors of the queries, ``(n, dim)``.
    """

    def __init__(
        self, encoder: Encoder, queries: Vector, snapshot: Snapshot, progress: Progress
    ) -> None:
        self._encoder, self._queries = encoder, queries
        self._snapshot, self._progress = snapshot, progress

    def texts(self, rows: Numbers, texts: Sequence[str]) -> Vector:
        """Each text is embedded for itself, a block at a time."""
        scores = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            vectors = embed(self._encoder, texts[part])
            scores[part] = _cosines(self._queries[rows[part]], vectors)
            self._progress("judge positives", min(start + BLOCK, len(rows)), len(rows))
        return scores

    def documents(self, rows: Numbers, numbers: Numbers) -> Vector:
        """Each document is embedded once, a block at a time."""
        scores = np.empty(len(rows), np.float32)
        different, places = np.unique(numbers, return_inverse=True)
        order = np.argsort(places, kind="stable")
        bounds = np.searchsorted(places[order], np.arange(0, len(different) + BLOCK, BLOCK))
        for start, first, last in zip(
            range(0, len(different), BLOCK), bounds[:-1], bounds[1:], strict=False
        ):
            vectors = embed(self._encoder, self._snapshot.texts(different[start : start + BLOCK]))
            pairs = order[first:last]
            for low in range(0, len(pairs), BLOCK):
                part = pairs[low : low + BLOCK]
                scores[part] = _cosines(self._queries[rows[part]], vectors[places[part] - start])
            self._progress("judge", min(start + BLOCK, len(different)), len(different))
        return scores


def _cosines(first: Vector, second: Vector) -> Vector:
    cosines: Vector = np.einsum("ij,ij->i", first, second)
    return cosines


class PairScorer(Protocol):
    """Reads a query and a document together. ``key`` names all that decides its scores."""

    key: str

    def score(self, pairs: Sequence[tuple[str, str]]) -> Vector:
        """``(n,)``, higher is better."""


class CrossJudge:
    """A cross-encoder's scores; a pair that it has scored before is not scored again.

    Args:
        scores: one number per pair of query and text.
    """

    def __init__(
        self, scorer: PairScorer, queries: Sequence[str], snapshot: Snapshot,
        scores: VectorCache, progress: Progress,
    ) -> None:  # fmt: skip
        self._scorer, self._queries, self._snapshot = scorer, queries, snapshot
        self._scores, self._progress = scores, progress

    def texts(self, rows: Numbers, texts: Sequence[str]) -> Vector:
        """A block of pairs at a time, each kept once it is scored."""
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), PAIRS):
            part = slice(start, start + PAIRS)
            found[part] = self._block(rows[part], texts[part])
            self._progress("judge pairs", min(start + PAIRS, len(rows)), len(rows))
        return found

    def documents(self, rows: Numbers, numbers: Numbers) -> Vector:
        """As `texts`, with texts read when they are needed."""
        found = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), PAIRS):
            part = slice(start, start + PAIRS)
            found[part] = self._block(rows[part], self._snapshot.texts(numbers[part]))
            self._progress("judge pairs", min(start + PAIRS, len(rows)), len(rows))
        return found

    def _block(self, rows: Numbers, texts: Sequence[str]) -> Vector:
        pairs = [(self._queries[row], text) for row, text in zip(rows, texts, strict=True)]
        keys = [text_hash(f"{len(query)} {query}{text}") for query, text in pairs]
        known = self._scores.recall(keys)
        missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
        if missing:
            made = self._scorer.score(list(missing.values()))
            new = {key: made[at : at + 1] for at, key in enumerate(missing)}
            self._scores.remember(new)
            known |= new
        return np.concatenate([known[key] for key in keys])
