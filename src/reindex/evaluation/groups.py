"""Which judged queries are independent of each other, and which are not.

Two queries about the same document succeed or fail together. Counting them as two observations
makes intervals too narrow, so everything in `reindex.evaluation.statistics` resamples groups.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from reindex.records import Judgements, image_path, text_hash

NEAR_DUPLICATE = 0.9
"""Jaccard similarity of two queries' word sets from which they count as the same question."""


def group_queries(judgements: Judgements) -> NDArray[np.int64]:
    """A group number for each of ``judgements.queries``, in their order: shape ``(n,)``, 0-based.

    A query with a ``group`` belongs with the queries of that group and with no other. Queries
    without one are joined, transitively, where they share a relevant document (relevance ≥ 1) or
    where their sets of words (NFKC, case folded) have a Jaccard similarity of at least 0.9.
    """
    queries = judgements.queries
    sets = _DisjointSets(len(queries))
    sets.join_by_key((("group", query.group), i) for i, query in enumerate(queries) if query.group)
    free = [i for i, query in enumerate(queries) if not query.group]
    sets.join_by_key(
        (document, i)
        for i in free
        for document, grade in judgements.qrels.get(queries[i].id, {}).items()
        if grade >= 1
    )
    for first, second in near_duplicates([queries[i].text for i in free]):
        sets.join(free[first], free[second])
    return sets.numbers()


def words(text: str) -> frozenset[str]:
    """The words of a text; one without any, or an image, is its own single word."""
    if image_path(text):
        return frozenset({text_hash(text)})
    folded = unicodedata.normalize("NFKC", text).casefold()
    return frozenset(re.findall(r"\w+", folded)) or frozenset({folded.strip()})


def near_duplicates(texts: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Places of pairs whose sets of words have a Jaccard similarity of `NEAR_DUPLICATE` or more.

    Prefix filter (Chaudhuri, Ganti & Kaushik, ICDE 2006): with each set in one global order, rare
    words first, two such sets share a word among their first ``|s| - ceil(t |s|) + 1``.
    """
    bags = [words(text) for text in texts]
    frequency = Counter(word for bag in bags for word in bag)
    rank = {word: at for at, word in enumerate(sorted(frequency, key=lambda w: (frequency[w], w)))}
    seen_under: dict[str, list[int]] = defaultdict(list)
    for i, bag in enumerate(bags):
        ordered = sorted(bag, key=rank.__getitem__)
        prefix = ordered[: len(bag) - math.ceil(NEAR_DUPLICATE * len(bag)) + 1]
        for j in {j for word in prefix for j in seen_under[word]}:
            least, most = sorted((len(bag), len(bags[j])))
            if least < NEAR_DUPLICATE * most:
                continue
            if len(bag & bags[j]) >= NEAR_DUPLICATE * len(bag | bags[j]):
                yield j, i
        for word in prefix:
            seen_under[word].append(i)


class _DisjointSets:
    """Union-find with path halving."""

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def find(self, item: int) -> int:
        parent = self._parent
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    def join(self, first: int, second: int) -> None:
        self._parent[self.find(second)] = self.find(first)

    def join_by_key(self, keyed: Iterable[tuple[Hashable, int]]) -> None:
        """Join all items that come with the same key."""
        first: dict[Hashable, int] = {}
        for key, item in keyed:
            self.join(first.setdefault(key, item), item)

    def numbers(self) -> NDArray[np.int64]:
        """Number the sets by first appearance."""
        roots = [self.find(item) for item in range(len(self._parent))]
        number = {root: position for position, root in enumerate(dict.fromkeys(roots))}
        return np.array([number[root] for root in roots], dtype=np.int64)
