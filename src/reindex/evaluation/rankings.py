"""How alike two rankings of one query are, without knowing which results are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

PERSISTENCE = 0.9
"""RBO's p. At 0.9 the first ten results carry 86 % of the weight (Webber et al. 2010, eq. 21)."""
SAME_SCORE = 1e-6
"""Scores closer than this are equal: identical texts, computed in another order."""


def overlap(first: Sequence[str], second: Sequence[str]) -> float:
    """Shared results over the longer list's length; 1 where both found nothing."""
    longer = max(len(first), len(second))
    return len(set(first) & set(second)) / longer if longer else 1.0


def rank_biased_overlap(
    first: Sequence[str], second: Sequence[str], p: float = PERSISTENCE
) -> float:
    """RBO_EXT in [0, 1]: overlap with weights that fall with the rank, extrapolated past the end.

    Equation 32 of Webber, Moffat & Zobel, *A similarity measure for indefinite rankings*, ACM
    TOIS 28(4), 2010, which also holds for lists of different length. Two empty lists are alike,
    an empty and another one are not.
    """
    shorter, longer = sorted((list(first), list(second)), key=len)
    s, length = len(shorter), len(longer)
    if not s:
        return 0.0 if length else 1.0
    shared = _shared_by_depth(shorter, longer)
    depths = np.arange(1, length + 1)
    weights = p**depths
    beyond = depths > s
    total = np.sum(shared / depths * weights)
    total += np.sum(shared[s - 1] * (depths[beyond] - s) / (s * depths[beyond]) * weights[beyond])
    end = (shared[-1] - shared[s - 1]) / length + shared[s - 1] / s
    return float((1 - p) / p * total + end * p**length)


def _shared_by_depth(shorter: Sequence[str], longer: Sequence[str]) -> NDArray[np.float64]:
    """How many results the two share within the first d, for d = 1 … the longer one's length."""
    counts, seen, shared = [], (set[str](), set[str]()), 0
    for depth, document in enumerate(longer):
        seen[1].add(document)
        shared += document in seen[0]
        if depth < len(shorter):
            seen[0].add(shorter[depth])
            shared += shorter[depth] in seen[1]
        counts.append(shared)
    return np.array(counts, dtype=np.float64)


def kendall_tau(first: Mapping[str, float], second: Mapping[str, float]) -> float | None:
    """Kendall's tau-b of the results that both lists hold, by their scores, in [-1, 1].

    Results of one side alone are left out: the overlap counts those. Equal scores are ties, as
    tau-b takes them (Kendall, *The treatment of ties in ranking problems*, Biometrika 33(3), 1945).
    None where fewer than two are shared, or a side scores all of them the same: there is no order.
    """
    shared = [document for document in first if document in second]
    orders = [_orders([scores[document] for document in shared]) for scores in (first, second)]
    pairs = [float(np.abs(order).sum()) for order in orders]
    if not all(pairs):
        return None
    return float((orders[0] * orders[1]).sum() / np.sqrt(pairs[0] * pairs[1]))


def _orders(scores: Sequence[float]) -> NDArray[np.float64]:
    """The sign of every pair's difference, each pair twice: shape ``(n, n)``."""
    values = np.array(scores, dtype=np.float64)
    differences = values[:, None] - values[None, :]
    differences[np.abs(differences) < SAME_SCORE] = 0.0
    signs: NDArray[np.float64] = np.sign(differences)
    return signs
