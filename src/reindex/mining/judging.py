"""Judges: how well a document answers a query, so that it can be held beside the positive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from reindex.mining.candidates import Numbers
from reindex.mining.nearest import BLOCK, embed
from reindex.mining.snapshot import Snapshot
from reindex.protocols import Encoder, Progress
from reindex.records import Vector


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
