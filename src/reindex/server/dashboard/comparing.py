"""A recorded comparison as a page: verdict, charts, and every query."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reindex.evaluation.results import Comparison
from reindex.evaluation.results_queries import QueryResults, Results
from reindex.project import Project
from reindex.registry.ledger import StoredComparison
from reindex.report import rows
from reindex.report.gather import Judgement, judgement
from reindex.report.page import SideBySide, drawings, side_by_side
from reindex.server.errors import Problem
from reindex.stages.result_texts import documents_shown, texts_of

PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class QueryRow:
    """A query's scores in the judged metric. ``number`` is its place in the results, or None."""

    query: str
    text: str
    live: float
    candidate: float
    number: int | None

    @property
    def change(self) -> float:
        """Candidate − live."""
        return self.candidate - self.live


SORTS: dict[str, tuple[str, Callable[[QueryRow], Any]]] = {
    "worst": ("Worst for the candidate first", lambda row: (row.change, row.text)),
    "best": ("Best for the candidate first", lambda row: (-row.change, row.text)),
    "lowest": ("Lowest candidate score first", lambda row: (row.candidate, row.text)),
    "text": ("By wording", lambda row: row.text),
}
"""Order of the queries -> what it is called, and the key."""


@dataclass(frozen=True, slots=True)
class QueryPage:
    """Some of a comparison's queries. Pages count from 1."""

    rows: tuple[QueryRow, ...]
    sort: str
    page: int
    pages: int
    total: int


def stored_comparison(project: Project, id: int) -> StoredComparison:
    """One comparison by its number.

    Raises:
        Problem: there is none (404).
    """
    for stored in project.registry.comparisons():
        if stored.id == id:
            return stored
    raise Problem(404, f"There is no comparison {id}.")


def page_of(project: Project, id: int, sort: str, page: int) -> Mapping[str, Any]:
    """What `comparison.html` shows."""
    stored = stored_comparison(project, id)
    found = judgement(project.registry, stored)
    c = found.comparison
    return {
        "stored": stored, "found": found, "c": c, "shown": c, "sorts": SORTS,
        "charts": drawings(c, c.agreement), "metrics": rows.metrics(c),
        "queries": query_page(found, sort, page),
    }  # fmt: skip


def query_page(found: Judgement, sort: str, page: int) -> QueryPage:
    """A page of the queries in an order; an unknown order is the first."""
    sort = sort if sort in SORTS else next(iter(SORTS))
    every = sorted(_rows(found.comparison), key=SORTS[sort][1])
    pages = max(1, -(-len(every) // PER_PAGE))
    page = min(max(1, page), pages)
    first = (page - 1) * PER_PAGE
    return QueryPage(tuple(every[first : first + PER_PAGE]), sort, page, pages, len(every))


def _rows(c: Comparison) -> list[QueryRow]:
    results = c.results.queries if c.results else ()
    known = {item.query: (number, item) for number, item in enumerate(results)}
    made = []
    for query, (live, candidate) in c.scores.get(c.metric, {}).items():
        number, item = known.get(query, (None, None))
        made.append(QueryRow(query, item.text if item else query, live, candidate, number))
    return made


def query_of(project: Project, id: int, number: int) -> Mapping[str, Any]:
    """What `query.html` shows: all that both sides found for one query, with texts as they are now.

    Raises:
        Problem: there is no such comparison or query (404).
    """
    stored = stored_comparison(project, id)
    c = judgement(project.registry, stored).comparison
    kept = c.results
    if kept is None or not 0 <= number < len(kept.queries):
        raise Problem(404, f"Comparison {id} kept no results of a query {number}.")
    one = kept.queries[number]
    item = _with_texts(project, c, one, kept)
    return {"stored": stored, "c": c, "shown": c, "item": item, "query": one}


def _with_texts(project: Project, c: Comparison, one: QueryResults, kept: Results) -> SideBySide:
    searched = (c.live.collection, c.candidate.collection)
    texts = texts_of(project, searched, documents_shown([one]), length=300)
    full = Results(kept.k, (one,), {**kept.excerpts, **texts})
    return side_by_side(one, full, c.scores.get(c.metric, {}).get(one.query), kept.k)
