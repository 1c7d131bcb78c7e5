"""Results where live and candidate disagree, for people to judge."""

from __future__ import annotations

from dataclasses import dataclass

from reindex.corpus.excerpts import Excerpt
from reindex.corpus.pools import PooledDocument, PooledQuery
from reindex.errors import ComparisonError
from reindex.evaluation.pooling import Pooling, ToJudge, pool
from reindex.evaluation.results_queries import Results
from reindex.owner.jobs import job
from reindex.records import query_hash
from reindex.registry.ledger import StoredComparison
from reindex.registry.result_book import ResultBook, StoredUnjudged
from reindex.stages.result_texts import texts_of
from reindex.workspace import Workspace

TEXT = 4000
"""Characters of a document that are given to judge by."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """What is to be judged. ``documents`` counts results; ``differing`` queries are of ``of``."""

    queries: tuple[PooledQuery, ...]
    documents: int
    differing: int
    of: int


@job("aside", name="pool")
def pool_results(
    workspace: Workspace, name: str, *, queries: int = 50, depth: int | None = None,
    everything: bool = False,
) -> Pooled:  # fmt: skip
    """The results to judge of the version's last comparison, and their texts.

    The queries are kept out of every training from now on.

    Raises:
        ComparisonError: it was never compared, or both sides find the same everywhere.
    """
    stored, results = last_results(workspace, name)
    found = pool(results, queries=queries, depth=depth or results.k, everything=everything)
    if not found.queries:
        raise ComparisonError(
            f"There is nothing to judge: {found.differing:,} of {found.of:,} queries have other "
            "results, and all of those are judged. --all takes queries with the same results, too."
        )
    documents = list({document: None for item in found.queries for document in item.documents})
    searched = stored.live_collection, stored.candidate_collection
    texts = texts_of(workspace, searched, documents, length=None)
    hashes = [query_hash(item.query.text) for item in found.queries]
    ResultBook(workspace.registry).hold_out(hashes)
    return _pooled(found, texts)


def _pooled(found: Pooling, texts: dict[str, Excerpt]) -> Pooled:
    queries = tuple(_query(item, found.note, texts) for item in found.queries)
    return Pooled(
        tuple(item for item in queries if item.documents),
        sum(len(item.documents) for item in queries),
        found.differing,
        found.of,
    )


def _query(item: ToJudge, note: str, texts: dict[str, Excerpt]) -> PooledQuery:
    documents = tuple(
        PooledDocument(id, texts[id].title, texts[id].text[:TEXT])
        for id in item.documents
        if id in texts  # a document that is gone by now cannot be judged
    )
    return PooledQuery(
        item.query.query, item.query.text, documents, dict(item.query.grades), note=note
    )


def last_results(
    workspace: Workspace, name: str
) -> tuple[StoredComparison | StoredUnjudged, Results]:
    """The version's newest comparison, judged or not, that has its results.

    Raises:
        UnknownVersion: there is no such version.
        ComparisonError: it has no comparison with results.
    """
    workspace.registry.version(name)
    collection, book = workspace.collection_of(name), ResultBook(workspace.registry)
    found: list[tuple[StoredComparison | StoredUnjudged, bytes | None]] = []
    found += [(item, book.of(item.id)) for item in workspace.registry.comparisons(collection)[:1]]
    found += [(item, book.of_unjudged(item.id)) for item in book.unjudged(collection)[:1]]
    stored, packed = max(found, key=lambda item: item[0].created_at, default=(None, None))
    if stored is None or packed is None:
        raise ComparisonError(
            f"{name} was never compared, or by an older release. Run: reindex compare {name} "
            "--queries FILE (no judgements needed)"
        )
    return stored, Results.unpacked(packed)
