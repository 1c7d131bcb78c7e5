"""Which queries people should judge, and what of them: where the two sides disagree most.

Queries with the same list on both sides say nothing about the difference, whatever is judged. So
the change that is measured on pooled queries is the change *where the two differ*: its sign is
that of the whole, its size is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from reindex.evaluation.results_queries import QueryResults, Results


@dataclass(frozen=True, slots=True)
class ToJudge:
    """One query and the documents of it that nobody judged, in an order that says nothing."""

    query: QueryResults
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pooling:
    """What to judge, out of ``differing`` queries that the sides answer differently, of ``of``."""

    queries: tuple[ToJudge, ...]
    differing: int
    of: int

    @property
    def note(self) -> str:
        """How the queries were chosen, for whoever reads figures on them."""
        return (
            f"{len(self.queries):,} of the {self.differing:,} queries whose results differ, "
            f"out of {self.of:,}; the most different first"
        )


def pool(results: Results, *, queries: int, depth: int, everything: bool = False) -> Pooling:
    """Choose up to ``queries`` queries; of each, the first ``depth`` results of both sides.

    The most different come first, by rank-biased overlap, one of each group before the second of
    any: near-duplicate queries say the same twice. Documents are ordered by a hash, so neither side
    nor rank shows. ``everything`` takes queries with the same results on both sides, too.
    """
    differing = results.most_different()
    chosen = (
        [*differing, *(q for q in results.queries if not q.differs)] if everything else differing
    )
    to_judge = (ToJudge(query, _documents(query, depth)) for query in _spread(chosen))
    kept = [item for item in to_judge if item.documents]
    return Pooling(tuple(kept[:queries]), len(differing), len(results.queries))


def _spread(queries: Iterable[QueryResults]) -> list[QueryResults]:
    """The first of every group in the order given, then the second of every group, and so on."""
    seen: dict[int, int] = {}
    rounds = []
    for position, query in enumerate(queries):
        seen[query.group] = seen.get(query.group, 0) + 1
        rounds.append((seen[query.group], position, query))
    return [query for _, _, query in sorted(rounds, key=lambda item: item[:2])]


def _documents(query: QueryResults, depth: int) -> tuple[str, ...]:
    found = {*list(query.live)[:depth], *list(query.candidate)[:depth]} - query.grades.keys()
    return tuple(sorted(found, key=lambda document: _blind(query.query, document)))


def _blind(query: str, document: str) -> bytes:
    return hashlib.sha256(f"{query}\0{document}".encode("utf-8", "surrogatepass")).digest()
