"""The texts of results: excerpts that a report shows, whole texts that people judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reindex.corpus.excerpts import Excerpt, excerpt
from reindex.corpus.frameworks import stored_text
from reindex.errors import CollectionNotFound
from reindex.evaluation.results_queries import QueryResults, Results
from reindex.evaluation.retrieval import locate_in
from reindex.workspace import Workspace

SHOWN = 12
"""Wins, losses and most different queries, of each so many, that are kept with their texts."""
RELEVANT = 3
"""Relevant documents per query that neither side found, and that are kept with their texts."""


def documents_shown(queries: Iterable[QueryResults]) -> list[str]:
    """All results of these queries, and a few of the relevant documents that were not found."""
    shown: dict[str, None] = {}
    for query in queries:
        found = query.documents
        relevant = (document for document, grade in query.grades.items() if grade > 0)
        missed = [document for document in relevant if document not in found]
        shown |= dict.fromkeys([*found, *missed[:RELEVANT]])
    return list(shown)


def with_excerpts(
    workspace: Workspace, searched: tuple[str, str], results: Results, examples: Iterable[str]
) -> Results:
    """The results with excerpts of what the examples and the most different queries found."""
    wanted = {query.query: query for query in results.most_different()[:SHOWN]}
    wanted |= {id: found for id in examples if (found := results.query(id)) is not None}
    documents = documents_shown(wanted.values())
    return replace(results, excerpts=texts_of(workspace, searched, documents, length=300))


def texts_of(
    workspace: Workspace, searched: tuple[str, str], documents: list[str], *, length: int | None
) -> dict[str, Excerpt]:
    """Title and text of each document that live's or the candidate's collection holds.

    The candidate's counts; a collection that is gone has none.
    """
    text_of = stored_text(workspace.settings.source)
    found: dict[str, Excerpt] = {}
    for collection in reversed(searched):
        missing = [document for document in documents if document not in found]
        try:
            points = locate_in(workspace.store, collection, missing, with_payload=True)
        except CollectionNotFound:
            continue
        found |= {id: excerpt(point.payload, text_of, length) for id, point in points.items()}
    return found
