"""What both sides found for every query, for those who read, pool or judge it afterwards."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from reindex.corpus.excerpts import Excerpt
from reindex.evaluation.agreement import ScoredRun
from reindex.evaluation.rankings import rank_biased_overlap
from reindex.plain import from_plain, to_plain
from reindex.records import Qrels, Query


@dataclass(frozen=True, slots=True)
class QueryResults:
    """One query with both sides' first k: document -> score, best first.

    ``grades`` are the judgements of it, where there are any; ``group`` its group's number.
    """

    query: str
    text: str
    group: int
    live: dict[str, float]
    candidate: dict[str, float]
    grades: dict[str, int] = field(default_factory=dict)

    @property
    def agreement(self) -> float:
        """Rank-biased overlap of the two: 1 where they are the same."""
        return rank_biased_overlap(list(self.live), list(self.candidate))

    @property
    def differs(self) -> bool:
        """Whether any metric can differ: other results, or another order of them."""
        return list(self.live) != list(self.candidate)

    @property
    def documents(self) -> list[str]:
        """All that either side found."""
        return list(self.live | self.candidate)


@dataclass(frozen=True, slots=True)
class Results:
    """All queries' results. ``excerpts`` are of the documents that a report shows."""

    k: int
    queries: tuple[QueryResults, ...]
    excerpts: dict[str, Excerpt] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        queries: Sequence[Query],
        runs: tuple[ScoredRun, ScoredRun],
        groups: Iterable[int],
        k: int,
        qrels: Qrels | None = None,
    ) -> Results:
        """From two runs over the same queries; scores to six digits."""
        live, candidate = runs
        return cls(
            k,
            tuple(
                QueryResults(
                    query.id,
                    query.text,
                    int(group),
                    _first(live[query.id], k),
                    _first(candidate[query.id], k),
                    dict((qrels or {}).get(query.id, {})),
                )
                for query, group in zip(queries, groups, strict=True)
            ),
        )

    def query(self, id: str) -> QueryResults | None:
        """One query's results."""
        return next((item for item in self.queries if item.query == id), None)

    def most_different(self) -> list[QueryResults]:
        """Queries on which the sides differ, the most different first."""
        return sorted((item for item in self.queries if item.differs), key=lambda q: q.agreement)

    def packed(self) -> bytes:
        """As it is stored: zlib over JSON."""
        text = json.dumps(to_plain(self), separators=(",", ":"))
        return zlib.compress(text.encode("utf-8", "surrogatepass"), 6)

    @classmethod
    def unpacked(cls, packed: bytes) -> Results:
        """What `packed` made."""
        text = zlib.decompress(packed).decode("utf-8", "surrogatepass")
        found: Results = from_plain(cls, json.loads(text))
        return found


def _first(found: Mapping[str, float], k: int) -> dict[str, float]:
    return {document: round(score, 6) for document, score in list(found.items())[:k]}
