"""Texts that come one by one, and whether one nearly is an earlier one."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import chain

from reindex.evaluation.groups import NEAR_DUPLICATE
from reindex.evaluation.sketches import SIZE, Hashes, similarity, sketch

SHARED = 3
"""Hashes that are looked up beyond those that a near-duplicate may lack: it must have as many."""
SLACK = 2
"""More of them that a sketch may lack, for it does not hold all of a long text's hashes."""


class NearTexts:
    """The texts so far, by sketches of their words (see `reindex.evaluation.sketches`)."""

    def __init__(self) -> None:
        self._sketches: list[Hashes] = []
        self._having: dict[int, list[int]] = defaultdict(list)

    def add(self, text: str) -> bool:
        """Whether the text is new; one that nearly is an earlier one is not kept."""
        wanted = sketch(text)
        hashes = [int(item) for item in wanted]
        if self._near(wanted, hashes):
            return False
        for item in hashes:
            self._having[item].append(len(self._sketches))
        self._sketches.append(wanted)
        return True

    def _near(self, wanted: Hashes, hashes: list[int]) -> bool:
        """Only texts are compared that have enough of the rarest hashes (prefix filter)."""
        size = len(hashes)
        lacking = size - math.ceil(NEAR_DUPLICATE * size) + (SLACK if size == SIZE else 0)
        lists = sorted((self._having.get(item, []) for item in hashes), key=len)
        rarest = lists[: lacking + SHARED]
        least = len(rarest) - lacking
        shared = Counter(chain.from_iterable(rarest))
        return any(
            count >= least and similarity(wanted, self._sketches[owner]) >= NEAR_DUPLICATE
            for owner, count in shared.items()
        )
