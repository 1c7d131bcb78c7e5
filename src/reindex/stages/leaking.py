"""Leakage: whether a version, or one that it goes on from, was trained on the judged set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from reindex.corpus.frameworks import stored_text
from reindex.corpus.training_sets import Row, texts_of
from reindex.evaluation.results_leakage import Leak, LeakageReport
from reindex.evaluation.retrieval import locate_in
from reindex.evaluation.sketches import Sketches
from reindex.evaluation.slicing import relevant_documents
from reindex.records import Judgements, Query, TrainingExample, query_hash
from reindex.registry.lineage import Lineage, Role
from reindex.registry.result_book import ResultBook
from reindex.workspace import Workspace


def sketches_of(rows: Sequence[Row]) -> dict[Role, bytes]:
    """What is kept of a training's rows to tell leakage by.

    Where it is not said which text of a row is the query, each of them may be.
    """
    queries = (
        text
        for row in rows
        for text in ([row.anchor] if isinstance(row, TrainingExample) else texts_of(row))
    )
    positives = (row.positive for row in rows if isinstance(row, TrainingExample))
    return {
        "query": Sketches.of(queries).to_bytes(),
        "positive": Sketches.of(positives).to_bytes(),
    }


def judged_texts(workspace: Workspace) -> Iterator[str]:
    """The judged queries (dev, test) that are at hand."""
    for split in ("dev", "test"):
        judged = workspace.judgements(split)
        yield from (query.text for query in judged.queries) if judged else ()


def judged_hashes(workspace: Workspace) -> set[str]:
    """Hashes of all judged queries, those included that only the registry still knows."""
    judged = [workspace.judgements(split) for split in ("dev", "test")]
    known = {query_hash(query.text) for item in judged if item for query in item.queries}
    return known | ResultBook(workspace.registry).held_out()


def near_judged(examples: Sequence[TrainingExample], judged: Collection[str]) -> set[str]:
    """The examples' queries that have, nearly, the words of a judged one."""
    anchors = list(dict.fromkeys(item.anchor for item in examples))
    nearest = Sketches.of(judged).nearest(anchors)
    return {anchor for anchor, near in zip(anchors, nearest, strict=True) if near}


def leakage(
    workspace: Workspace, version: str, judged: Judgements, collection: str
) -> LeakageReport:
    """Look for the judged queries and their relevant documents in what was trained on.

    Near-duplicates are told by their words (`reindex.evaluation.sketches`). A query is looked for
    among training queries and training positives, documents among positives. The documents' texts
    are read from ``collection``.
    """
    lineage = Lineage(workspace.registry)
    versions = lineage.trained(version)
    exact = [leak for name in versions for leak in _exact(workspace, name, judged)]
    known = {leak.query for leak in exact}
    others = [query for query in judged.queries if query.id not in known]
    near = _among(lineage, versions, ("query", "positive"), others, lambda query: [query.text])
    texts = _documents(workspace, judged, collection) if versions else {}
    positives = _among(
        lineage,
        versions,
        ("positive",),
        judged.queries,
        lambda query: [
            texts[document]
            for document, grade in judged.qrels.get(query.id, {}).items()
            if grade >= 1 and document in texts
        ],
    )
    return LeakageReport(len(judged.queries), tuple(versions), tuple(exact), near, positives)


def unknown_lineage(workspace: Workspace, version: str) -> list[str]:
    """Warnings about versions that were pulled without the hashes of what they were trained on."""
    registry = workspace.registry
    names = Lineage(registry).trained(version)
    return [
        f"{name} was pulled without its lineage: whether it was trained on judged queries cannot "
        "be told. Pull it again from a push without --no-lineage."
        for name in names
        if registry.version(name).recipe.get("pulled", {}).get("lineage") is False
    ]


def _exact(workspace: Workspace, version: str, judged: Judgements) -> list[Leak]:
    hashes = {query.id: query_hash(query.text) for query in judged.queries}
    seen = workspace.registry.trained_on(version, hashes.values())
    return [
        Leak(query.id, query.text, 1.0, version)
        for query in judged.queries
        if hashes[query.id] in seen
    ]


def _among(
    lineage: Lineage,
    versions: Sequence[str],
    roles: Sequence[Role],
    queries: Sequence[Query],
    texts_of: Callable[[Query], Sequence[str]],
) -> tuple[Leak, ...] | None:
    """Queries one of whose texts is near one of those kept; None where a training kept none."""
    texts = [(query, text) for query in queries for text in texts_of(query)]
    found: dict[str, Leak] = {}
    for version in versions:
        for role in roles:
            kept = lineage.sketches(version, role)
            if kept is None:
                return None
            nearest = Sketches.from_bytes(kept).nearest([text for _, text in texts])
            for (query, text), near in zip(texts, nearest, strict=True):
                if near > getattr(found.get(query.id), "similarity", 0.0):
                    found[query.id] = Leak(query.id, text, near, version)
    return tuple(found.values())


def _documents(workspace: Workspace, judged: Judgements, collection: str) -> Mapping[str, str]:
    """The relevant documents' texts, as the collection's payloads hold them."""
    text = stored_text(workspace.settings.source)
    wanted = relevant_documents(judged)
    points = locate_in(workspace.store, collection, wanted, with_payload=True)
    read = {document: text(point.payload) for document, point in points.items()}
    return {document: found for document, found in read.items() if found}
