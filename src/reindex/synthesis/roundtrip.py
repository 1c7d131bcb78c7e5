"""Round trip: a query is kept if a search for it finds the passage that it was made from.

The consistency filter of Alberti et al. (2019, arXiv:1906.05416), as Promptagator (Dai et al. 2022)
uses it for retrieval. It drops queries that are too vague, or that another passage answers better.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reindex.config.synthesis import RoundTrip
from reindex.evaluation.baselines import bm25_run
from reindex.protocols import Progress
from reindex.records import Document, Query, text_hash
from reindex.synthesis.passages import Lowest
from reindex.synthesis.records import MadePair, Tally

Search = Callable[[Sequence[str]], list[list[str]]]
"""Queries -> the ids of the documents found for each, best first."""


@dataclass(frozen=True, slots=True)
class RoundTripReport:
    """Of ``asked`` queries: how many each way of searching found, and how many are kept."""

    k: int
    asked: int
    found: Mapping[str, int]
    kept: int

    @property
    def share(self) -> float:
        """Of the queries that are kept."""
        return self.kept / max(1, self.asked)


def corpus_of(
    documents: Iterable[Document], wanted: frozenset[str], limit: int, seed: int, progress: Progress
) -> dict[str, str]:
    """The wanted documents' texts by id, and of others a sample until there are ``limit``."""
    texts, others = dict[str, str](), Lowest(max(0, limit - len(wanted)), seed)
    for number, document in enumerate(documents, start=1):
        id, text = str(document.id), document.text
        if id in wanted:
            texts[id] = text
        elif limit > len(wanted):
            others.offer(id, lambda: (id, text))  # noqa: B023
        if number % 10_000 == 0:
            progress("reading documents", number, None)
    return texts | dict(others.items())


def bm25_search(texts: Mapping[str, str], k: int) -> Search:
    """BM25 over these texts. Raises MissingExtra where bm25s is not installed."""

    def search(queries: Sequence[str]) -> list[list[str]]:
        run = bm25_run(texts, [Query(str(at), text) for at, text in enumerate(queries)], k)
        return [run.get(str(at), []) for at in range(len(queries))]

    return search


def round_trip(
    pairs: Sequence[MadePair], texts: Mapping[str, str], searches: Mapping[str, Search],
    how: RoundTrip, k: int, tally: Tally,
) -> tuple[list[MadePair], RoundTripReport]:  # fmt: skip
    """The pairs whose document one of the searches finds (``all``: each of them).

    A document with the very same text is as good as the document itself.
    """
    same = _same_texts(texts)
    queries = [pair.query for pair in pairs]
    found: dict[str, list[bool]] = {}
    for name, search in searches.items():
        results = search(queries)
        found[name] = [
            bool(same.get(pair.document, {pair.document}).intersection(ids[:k]))
            for pair, ids in zip(pairs, results, strict=True)
        ]
    decide = all if how == "all" else any
    kept = []
    for at, pair in enumerate(pairs):
        if decide(hits[at] for hits in found.values()):
            kept.append(pair)
        else:
            tally.drop("passage not found")
    counts = {name: sum(hits) for name, hits in found.items()}
    return kept, RoundTripReport(k, len(pairs), counts, len(kept))


def _same_texts(texts: Mapping[str, str]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for id, text in texts.items():
        groups[text_hash(text)].add(id)
    return {id: group for group in groups.values() for id in group}
