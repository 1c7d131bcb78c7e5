"""Which made pairs are kept: no duplicates, nothing judged, none that speaks of "the passage"."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from reindex.evaluation.sketches import Sketches
from reindex.records import query_hash
from reindex.synthesis.near import NearTexts
from reindex.synthesis.records import MadePair, Tally

_POINTS_AT_THE_PASSAGE = re.compile(
    r"\b(?:this|the|that) (?:given |above |provided |following )?"
    r"(?:passage|text|excerpt|paragraph|author)\b|\bmentioned (?:above|here|in the)\b",
    re.IGNORECASE,
)


def sift(pairs: Iterable[MadePair], tally: Tally) -> list[MadePair]:
    """The pairs whose query is new, in their order; what is dropped is counted with its reason.

    Of queries with (nearly) the same words the first is kept: a second one, of another passage,
    would call both right and wrong what is right for both.
    """
    seen, near, kept = set[str](), NearTexts(), list[MadePair]()
    for pair in pairs:
        tally.total += 1
        hashed = query_hash(pair.query)
        if _POINTS_AT_THE_PASSAGE.search(pair.query):
            tally.drop("speaks of the passage")
        elif hashed in seen:
            tally.drop("duplicates")
        elif query_hash(pair.positive) == hashed:
            tally.drop("is the passage")
        elif not near.add(pair.query):
            tally.drop("near-duplicates")
        else:
            kept.append(pair)
        seen.add(hashed)
    return kept


def without_judged(
    pairs: list[MadePair], hashes: Collection[str], texts: Collection[str], tally: Tally
) -> list[MadePair]:
    """The pairs whose query is no judged one, by its hash, nor nearly one of ``texts``."""
    nearest = Sketches.of(texts).nearest([pair.query for pair in pairs])
    kept = []
    for pair, near in zip(pairs, nearest, strict=True):
        if near or query_hash(pair.query) in hashes:
            tally.drop("like judged queries")
        else:
            kept.append(pair)
    return kept
