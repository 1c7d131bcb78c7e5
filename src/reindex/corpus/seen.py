"""Finding duplicate ids among millions in 8 bytes each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_UINT64 = 2**64


class SeenIds:
    """Tells which ids of a stream came before; one object per run over a source.

    Keeps a 64-bit key per id: an unsigned integer is its own key, a string's is Python's keyed
    hash. Among ten million ids, two different ones share a key with probability 3e-6 (birthday
    bound n²/2⁶⁵); the later one would be taken for a duplicate. The keys lie in sorted runs that
    are merged as they grow, so a look-up is a handful of binary searches, a batch at a time.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.uint64]] = []

    def repeated(self, ids: Sequence[int | str]) -> NDArray[np.bool_]:
        """For each id whether it came before, in this batch or an earlier one; remembers all."""
        keys = np.fromiter(map(_key, ids), np.uint64, len(ids))
        fresh, first = np.unique(keys, return_index=True)  # sorted: searches stay in the cache
        known = self._known(fresh)
        repeated = np.ones(len(ids), np.bool_)
        repeated[first[~known]] = False
        self._remember(fresh[~known])
        return repeated

    def _known(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        known = np.zeros(len(keys), np.bool_)
        for run in self._runs:
            at = np.minimum(np.searchsorted(run, keys), len(run) - 1)
            known |= run[at] == keys
        return known

    def _remember(self, keys: NDArray[np.uint64]) -> None:
        """Add a sorted run; runs at least double in size from the last to the first."""
        if not len(keys):
            return
        self._runs.append(keys)
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) > len(self._runs[-2]):
            merged = np.concatenate([self._runs.pop(), self._runs.pop()])
            merged.sort(kind="stable")  # radix or merge sort: near linear on two sorted halves
            self._runs.append(merged)


def _key(id: Any) -> int:
    if type(id) is int and 0 <= id < _UINT64:
        return id
    return hash(str(id)) % _UINT64
