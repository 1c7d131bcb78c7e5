"""Stage 4: live and candidate answer the same judged queries."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from reindex.corpus.dead_letters import IgnoredLetters
from reindex.corpus.pools import pool_warnings
from reindex.errors import ComparisonError
from reindex.evaluation.compare import Comparison, Side, compare
from reindex.evaluation.family import as_family
from reindex.evaluation.results_models import ModelsReport
from reindex.evaluation.retrieval import Runs
from reindex.evaluation.unjudged import UnjudgedComparison, compare_unjudged
from reindex.off_the_shelf import ModelSpec
from reindex.owner.jobs import job
from reindex.protocols import Encoder
from reindex.records import Judgements, Query, query_hash
from reindex.registry.ledger import BuiltCollection, StoredComparison, Version
from reindex.registry.result_book import ResultBook, StoredUnjudged
from reindex.registry.serving_plans import ServingPlans
from reindex.stages.beside import record_models, score_beside
from reindex.stages.leaking import leakage, unknown_lineage
from reindex.stages.result_texts import SHOWN, with_excerpts
from reindex.stages.supervision import Job, supervised
from reindex.workspace import Workspace


@job("work", name="compare")
def compare_with_live(
    workspace: Workspace, name: str, *, against: str | None = None
) -> tuple[StoredComparison, Comparison]:
    """Compare a version with what is live (or with the version ``against``) and record it."""
    return _compared(workspace, [name], against)[0][0]


@job("work", name="compare-several")
def compare_several(
    workspace: Workspace, names: Sequence[str], *, against: str | None = None
) -> tuple[tuple[StoredComparison, Comparison], ...]:
    """Compare versions with what is live, in one pass over it, each recorded for itself.

    Their verdicts hold together (Holm). None is recorded before all are compared.
    """
    return _compared(workspace, names, against)[0]


@job("work", name="compare-models")
def compare_with_models(
    workspace: Workspace,
    names: Sequence[str],
    models: Sequence[ModelSpec],
    *,
    against: str | None = None,
) -> tuple[tuple[tuple[StoredComparison, Comparison], ...], ModelsReport]:
    """`compare_several` (also of no version at all), with models beside them on a subset.

    The models are no versions, or not built. Verdicts hold for all of them together.
    """
    recorded, report = _compared(workspace, names, against, models)
    assert report is not None
    return recorded, report


def _compared(
    workspace: Workspace,
    names: Sequence[str],
    against: str | None,
    models: Sequence[ModelSpec] = (),
) -> tuple[tuple[tuple[StoredComparison, Comparison], ...], ModelsReport | None]:
    live = _live(workspace, against)
    built = [_candidate(workspace, name, live) for name in dict.fromkeys(names)]
    judgements = _judgements(workspace, names[0] if names else "vN")
    settings, gate = workspace.settings.evaluation, workspace.settings.gate
    searched: dict[str, Runs] = {}
    with ExitStack() as kept:
        versions: list[str | None] = [one.version for one in built] or [None]
        runs = [kept.enter_context(supervised(workspace, "compare", one)) for one in versions]
        beside = None
        if models:
            beside = score_beside(workspace, live, built, models, judgements, runs[0])
        found = [
            _compare(workspace, (live, candidate), judgements, run, searched, kept)
            for candidate, run in zip(built, runs, strict=False)
        ]
        if beside is None:
            judged, report = as_family(found, judgements, settings, gate)[0], None
        else:
            judged, report = beside.judged_with(workspace, found, judgements)
            record_models(workspace, report)
        recorded = []
        for one, candidate, run in zip(judged, built, runs, strict=False):
            result = replace(one, models=report)
            stored = _record(workspace, live, candidate, judgements, result)
            run.details.update(comparison=stored.id, verdict=result.verdict)
            recorded.append((stored, result))
    return tuple(recorded), report


def _compare(
    workspace: Workspace,
    pair: tuple[BuiltCollection, BuiltCollection],
    judgements: Judgements,
    run: Job,
    searched: dict[str, Runs],
    kept: ExitStack,
) -> Comparison:
    live, candidate = pair
    result = compare(
        workspace.store,
        _side(workspace, live, kept),
        _side(workspace, candidate, kept),
        judgements,
        workspace.settings.evaluation,
        workspace.settings.gate,
        root=workspace.settings.root,
        documents=lambda: workspace.source.documents(IgnoredLetters()),
        progress=run.progress,
        searched=searched,
    )
    warnings = (
        *result.warnings,
        *pool_warnings(judgements.queries),
        *unknown_lineage(workspace, candidate.version),
    )
    leaks = leakage(workspace, candidate.version, judgements, candidate.name)
    return _with_texts(workspace, replace(result, warnings=warnings, leakage=leaks))


def _judgements(workspace: Workspace, name: str) -> Judgements:
    judgements = workspace.judgements("test")
    if judgements is None:
        raise ComparisonError(
            "There are no judged queries. Set evaluation.queries and evaluation.qrels in "
            "reindex.toml, or use a BEIR source with queries.jsonl and qrels/test.tsv. Without "
            f"judgements: reindex compare {name} --queries FILE says how far the two agree."
        )
    return judgements


def _with_texts(workspace: Workspace, result: Comparison) -> Comparison:
    if result.results is None:
        return result
    examples = [one.query for side in (result.wins, result.losses) for one in side[:SHOWN]]
    searched = result.live.collection, result.candidate.collection
    return replace(result, results=with_excerpts(workspace, searched, result.results, examples))


@job("work", name="compare-unjudged")
def compare_without_judgements(
    workspace: Workspace, name: str, queries: Sequence[Query], *, against: str | None = None
) -> tuple[StoredUnjudged, UnjudgedComparison]:
    """How far a version and what is live agree on ``queries``; recorded, and no verdict."""
    live = _live(workspace, against)
    candidate = _candidate(workspace, name, live)
    with supervised(workspace, "compare", name) as job, ExitStack() as kept:
        found = compare_unjudged(
            workspace.store,
            _side(workspace, live, kept),
            _side(workspace, candidate, kept),
            queries,
            workspace.settings.evaluation,
            progress=job.progress,
        )
        assert found.results is not None
        results = with_excerpts(workspace, (live.name, candidate.name), found.results, ())
        stored = ResultBook(workspace.registry).add_unjudged(
            results.packed(),
            live=live.version,
            candidate=candidate.version,
            live_collection=live.name,
            live_build=live.build,
            candidate_collection=candidate.name,
            candidate_build=candidate.build,
            query_set=found.query_set,
            result={**replace(found, results=None).as_dict(), "candidate_writes": candidate.writes},
        )
        job.details.update(unjudged_comparison=stored.id)
    return stored, replace(found, results=results)


def _candidate(workspace: Workspace, name: str, live: BuiltCollection) -> BuiltCollection:
    candidate = _built(workspace, workspace.registry.version(name))
    if live.name == candidate.name:
        here = live.name == workspace.live_collection()
        what = "is what is live already" if here else "would be compared with itself"
        raise ComparisonError(f"{name} {what}. Compare another version, or pass another --against.")
    return candidate


def _live(workspace: Workspace, against: str | None) -> BuiltCollection:
    if against is not None:
        return _built(workspace, workspace.registry.version(against))
    version, collection = workspace.live_version(), workspace.live_collection()
    if version is None or collection is None:
        raise ComparisonError(
            f"Nothing is live: the alias {workspace.settings.alias!r} points at "
            f"{workspace.live_collection() or 'nothing'}. Promote a first version (nothing to "
            "compare it with), or pass --against vN."
        )
    return _built(workspace, version, collection)


def _built(
    workspace: Workspace, version: Version, collection: str | None = None
) -> BuiltCollection:
    name = collection or workspace.collection_of(version.name)
    built = workspace.registry.collection(name)
    if built is None or not built.complete:
        state = "has no collection yet" if built is None else "is not completely built"
        raise ComparisonError(f"{version.name} {state}. Run: reindex build {version.name}")
    return built


def _side(workspace: Workspace, built: BuiltCollection, kept: ExitStack) -> Side:
    """One side. What is embedded in fp32 is remembered for the next comparison, until ``kept``
    is closed.
    """
    version = workspace.registry.version(built.version)
    encoder = workspace.encoder(version)

    def fp32() -> Encoder:
        full = workspace.encoder(version, graph="fp32")
        return kept.enter_context(workspace.remembering(full))

    how = ServingPlans(workspace.registry).settings_of(built)
    return Side(
        version=version.name,
        collection=built.name,
        encoder=encoder,
        oversampling=how.oversampling,
        hnsw_ef=how.hnsw_ef,
        dims=encoder.manifest.matryoshka_dims,
        fp32=fp32,
    )


def _record(
    workspace: Workspace,
    live: BuiltCollection,
    candidate: BuiltCollection,
    judgements: Judgements,
    result: Comparison,
) -> StoredComparison:
    registry = workspace.registry
    hashes = [query_hash(query.text) for query in judgements.queries]
    registry.record_dataset(
        result.judged_set, role="test", name=workspace.source.name, size=len(judgements.queries)
    )
    body = result.as_dict()
    scores = body.pop("scores")
    body.pop("results", None)
    stored = registry.add_comparison(
        scores,
        live=live.version,
        candidate=candidate.version,
        live_collection=live.name,
        live_build=live.build,
        candidate_collection=candidate.name,
        candidate_build=candidate.build,
        candidate_encoding=candidate.encoding,
        candidate_writes=candidate.writes,
        judged_set=result.judged_set,
        leaked=len(result.leakage.exact) if result.leakage else 0,
        verdict=result.verdict,
        result=body,
    )
    ResultBook(registry).hold_out(hashes)
    if result.results is not None:
        ResultBook(registry).keep(stored.id, result.results.packed())
    return stored
