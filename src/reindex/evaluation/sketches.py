"""Which texts nearly are one of many others that nobody keeps: by sketches of their words.

A sketch is the smallest `SIZE` of the 32-bit hashes of a text's words (bottom-k sketch: Broder,
SEQUENCES 1997; Cohen & Kaplan, PODC 2007). Of a text with at most so many words it is the whole
set, so the similarity of queries is exact; that of longer texts is estimated from the union's
smallest hashes, with a standard error of 4 points at a similarity of 0.9.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reindex.evaluation.groups import NEAR_DUPLICATE, words

SIZE = 64
LEAST_PREFIX = 8
"""Hashes of a long text's sketch that are looked up at least: the other sketch may lack some."""
_WHOLE = math.floor(NEAR_DUPLICATE * SIZE)
"""Of a text with at most so many words every near-duplicate's sketch is whole."""
Hashes = NDArray[np.uint32]


def sketch(text: str) -> Hashes:
    """The smallest hashes of the text's words, ascending; at least one."""
    return np.array(sorted({_hash(word) for word in words(text)})[:SIZE], dtype=np.uint32)


def _hash(word: str) -> int:
    encoded = word.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(encoded, digest_size=4).digest(), "big")


@dataclass(frozen=True, slots=True, eq=False)
class Sketches:
    """Sketches one after another: that of text i is ``hashes[starts[i]:starts[i + 1]]``."""

    hashes: Hashes
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Iterable[str]) -> Sketches:
        """Of every different sketch among the texts one."""
        made = list({item.tobytes(): item for item in map(sketch, texts)}.values())
        starts = np.cumsum([0, *map(len, made)], dtype=np.int64)
        return cls(np.concatenate([*made, np.empty(0, np.uint32)]), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def to_bytes(self) -> bytes:
        """Compressed, to be kept."""
        file = io.BytesIO()
        np.savez_compressed(file, hashes=self.hashes, starts=self.starts)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, kept: bytes) -> Sketches:
        """What `to_bytes` gave."""
        with np.load(io.BytesIO(kept), allow_pickle=False) as read:
            return cls(read["hashes"], read["starts"])

    def nearest(self, texts: Sequence[str]) -> list[float]:
        """For each text the similarity of the nearest one, where that is a near-duplicate; else 0.

        Only texts that share one of a text's rarest words are looked at: a set as similar as
        `NEAR_DUPLICATE` shares one of the first ``n - ceil(0.9 n) + 1`` (prefix filter).
        """
        order = np.argsort(self.hashes, kind="stable")
        ordered = self.hashes[order]
        owners = np.searchsorted(self.starts, order, side="right") - 1
        return [self._nearest(sketch(text), ordered, owners) for text in texts]

    def _nearest(self, wanted: Hashes, ordered: Hashes, owners: NDArray[np.int64]) -> float:
        first = np.searchsorted(ordered, wanted, side="left")
        last = np.searchsorted(ordered, wanted, side="right")
        prefix = len(wanted) - math.ceil(NEAR_DUPLICATE * len(wanted)) + 1
        if len(wanted) > _WHOLE:
            prefix = max(prefix, LEAST_PREFIX)
        rarest = np.argsort(last - first, kind="stable")[:prefix]
        candidates = {int(o) for at in rarest for o in owners[first[at] : last[at]]}
        best = max((similarity(wanted, self._of(at)) for at in candidates), default=0.0)
        return best if best >= NEAR_DUPLICATE else 0.0

    def _of(self, at: int) -> Hashes:
        return self.hashes[self.starts[at] : self.starts[at + 1]]


def similarity(first: Hashes, second: Hashes) -> float:
    """Jaccard similarity: exact where neither sketch is full, else estimated."""
    union = np.union1d(first, second)
    if len(first) == SIZE or len(second) == SIZE:
        union = union[:SIZE]
    both = np.intersect1d(first, second, assume_unique=True)
    return float(np.isin(union, both, assume_unique=True).sum() / len(union))
