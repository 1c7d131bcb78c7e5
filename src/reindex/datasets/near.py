"""Which rows belong together: equal and nearly equal texts, and what they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from reindex.corpus.training_sets import Row, texts_of
from reindex.corpus.twins import components
from reindex.evaluation.groups import near_duplicates
from reindex.records import TrainingExample, query_hash


def distinct(texts: Iterable[str]) -> list[str]:
    """One text of each that differ in more than case and white space, in their order."""
    return list({query_hash(text): text for text in reversed(list(texts))}.values())[::-1]


def near_pairs(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs of texts with nearly the same words (Jaccard 0.9) that are not the same."""
    known = distinct(texts)
    for first, second in near_duplicates(known):
        yield known[first], known[second]


def own_texts(row: Row) -> tuple[str, ...]:
    """The texts by which rows belong together.

    Mined negatives are no tie: every document is a negative of some query.
    """
    return (row.anchor, row.positive) if isinstance(row, TrainingExample) else texts_of(row)


def groups_of(rows: Sequence[Row]) -> list[list[int]]:
    """Rows that belong together: the places of each group, all in ascending order.

    Two rows do where they share a text (case and white space aside), or where a text of one has
    nearly the words of a text of the other, and so does whoever belongs with either.
    """
    owners: dict[str, list[int]] = defaultdict(list)
    texts: dict[str, str] = {}
    for place, row in enumerate(rows):
        for text in own_texts(row):
            key = query_hash(text)
            owners[key].append(place)
            texts.setdefault(key, text)
    keys = list(texts)
    ties = [(places[0], other) for places in owners.values() for other in places[1:]]
    near = near_duplicates([texts[key] for key in keys])
    ties += [(owners[keys[first]][0], owners[keys[second]][0]) for first, second in near]
    return components(len(rows), ties)
