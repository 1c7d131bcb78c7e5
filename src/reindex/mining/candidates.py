"""Candidates: for every query the numbers of some documents, the likeliest first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reindex.config.training_negatives import Origin
from reindex.records import Vector

Numbers = NDArray[np.int64]
NONE = -1
"""In the place of a candidate: there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """What one source gave: ``(queries, depth)`` numbers of documents, best first, and scores.

    ``origin`` is the source's name; rows with fewer candidates end in ``NONE``.
    """

    origin: Origin
    numbers: Numbers
    scores: Vector

    @classmethod
    def empty(cls, origin: Origin, queries: int) -> Candidates:
        """Nothing yet, for so many queries."""
        return cls(origin, np.empty((queries, 0), np.int64), np.empty((queries, 0), np.float32))

    def best(self, other: Candidates, depth: int) -> Candidates:
        """The best ``depth`` of both by score; of equal scores the lower number first."""
        numbers = np.concatenate([self.numbers, other.numbers], axis=1)
        scores = np.concatenate([self.scores, other.scores], axis=1)
        if scores.shape[1] > depth:
            kept = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
            numbers = np.take_along_axis(numbers, kept, axis=1)
            scores = np.take_along_axis(scores, kept, axis=1)
        order = np.lexsort((numbers, -scores), axis=1)
        return Candidates(
            self.origin,
            np.take_along_axis(numbers, order, axis=1),
            np.take_along_axis(scores, order, axis=1),
        )

    def without_first(self, skip: int) -> Candidates:
        """Without the first ``skip`` of every query."""
        return Candidates(self.origin, self.numbers[:, skip:], self.scores[:, skip:])


def random_candidates(queries: int, documents: int, depth: int, seed: int) -> Candidates:
    """``depth`` random documents for every query; one may come twice."""
    numbers = np.random.default_rng(seed).integers(0, documents, (queries, depth))
    return Candidates("random", numbers, np.zeros(numbers.shape, np.float32))
