"""What belongs together and must not be split: connected components, near-equal texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from reindex.errors import MissingExtra

NEAR_EQUAL = 0.8
"""TF-IDF cosine from which two texts count as near-equal."""

_BLOCK = 512


def components(size: int, pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """The connected components of a graph over ``0 … size - 1``, each and all in ascending order.

    Union by path halving (Tarjan and van Leeuwen 1984).
    """
    parent = list(range(size))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for left, right in pairs:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    found: dict[int, list[int]] = {}
    for node in range(size):
        found.setdefault(root(node), []).append(node)
    return list(found.values())


def near_equal(texts: Sequence[str], threshold: float = NEAR_EQUAL) -> Iterator[tuple[int, int]]:
    """Pairs ``(i, j)``, ``i < j``, whose TF-IDF cosine is at least ``threshold``.

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise MissingExtra("demo", "scikit-learn") from None
    if len(texts) < 2:
        return
    rows = TfidfVectorizer(token_pattern=r"\w+").fit_transform(texts)  # unit rows  # noqa: S106
    columns = rows.T.tocsr()
    for start in range(0, len(texts), _BLOCK):
        cosines = (rows[start : start + _BLOCK] @ columns).tocoo()
        close = cosines.data >= threshold
        pairs = zip(cosines.row[close] + start, cosines.col[close], strict=True)
        yield from sorted((int(i), int(j)) for i, j in pairs if i < j)
