"""Before a full build: embed a few documents and stop where the candidate is clearly worse."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reindex.corpus.dead_letters import IgnoredLetters
from reindex.errors import ClearlyWorse, ComparisonError
from reindex.evaluation.baselines import bm25_run, import_bm25s, read_texts
from reindex.evaluation.early import (
    HARD,
    HARD_SHARE,
    RELEVANT_SHARE,
    EarlyLook,
    LengthStrata,
    choose_queries,
    hard_distractors,
    judge_early,
    relevant_of,
)
from reindex.evaluation.metrics import answerable
from reindex.evaluation.paired import score_runs
from reindex.evaluation.retrieval import Runs, Side, open_side, runs_of
from reindex.evaluation.subset import encode_known, exact_scores
from reindex.measures import Measure, parse_measure
from reindex.protocols import Encoder
from reindex.records import Judgements, Vector
from reindex.registry.ledger import Version
from reindex.registry.serving_plans import ServingPlans
from reindex.stages.supervision import Job
from reindex.workspace import Workspace

BATCH = 256


def asked_to_look(workspace: Workspace, asked: bool | None) -> bool:
    """Whether to look: as ``asked``, or (None) as the configuration says where there is something
    to look at, so that a first version is built without.
    """
    if asked is not None or not workspace.settings.build.early_stop:
        return bool(asked)
    return workspace.live_version() is not None and workspace.judgements("test") is not None


def look_early(
    workspace: Workspace, version: Version, encoder: Encoder, documents: Encoder, job: Job
) -> EarlyLook | None:
    """Compare a version with what is live on judged documents, hard distractors and a sample.

    ``encoder`` embeds queries, ``documents`` documents; their vectors are kept where the build
    finds them. None where there is nothing to look for: the version is live, or built already.

    Raises:
        ComparisonError: nothing is live, or there are no judged queries.
        ClearlyWorse: so it is.
    """
    own = workspace.registry.collection(workspace.collection_of(version.name))
    live = workspace.live_version()
    if (own is not None and own.complete) or (live is not None and live.name == version.name):
        return None
    judged = workspace.judgements("test")
    if live is None or judged is None:
        lacking = "no judged queries are configured" if live else "nothing is live"
        raise ComparisonError(
            f"An early stop compares with what is live on judged queries, but {lacking}. Leave "
            "out --early-stop (build.early_stop)."
        )
    look = _look(workspace, live, encoder, documents, judged, job)
    job.details["early_look"] = {"look": str(look), "worse": look.worse}
    if look.worse:
        kept = "; the vectors are kept" if workspace.settings.embed.cache else ""
        raise ClearlyWorse(
            f"{version.name} is clearly worse than {live.name}, which is live: {look}. Fewer "
            "documents compete with the answers than in a whole collection, so it would be no "
            f"better there. Nothing was built{kept}. Build it all the same with: "
            f"reindex build {version.name} --no-early-stop"
        )
    return look


def _look(
    workspace: Workspace,
    live: Version,
    encoder: Encoder,
    documents: Encoder,
    judgements: Judgements,
    job: Job,
) -> EarlyLook:
    settings, gate = workspace.settings.evaluation, workspace.settings.gate
    measure = parse_measure(gate.metric, settings.k)
    rng = np.random.default_rng(settings.seed)
    limit = workspace.settings.build.early_documents
    qrels = answerable(judgements.qrels)
    known = Judgements(tuple(q for q in judgements.queries if q.id in qrels), qrels)
    judged = choose_queries(known, int(RELEVANT_SHARE * limit), rng)
    runs = _live_runs(workspace, live, judged, measure, job)
    texts = _texts(workspace, judged, runs, limit, rng, job)
    judged = _answered(judged, texts)
    with workspace.remembering(documents) as remembering:
        vectors = _embed(remembering, texts, job)
    scores = exact_scores(
        judged, encoder.encode_queries([query.text for query in judged.queries]),
        list(texts), vectors, [measure],
    )  # fmt: skip
    served = score_runs(runs, judged.qrels, [measure])
    name = str(measure)
    return judge_early(name, judged, served[name], scores[name], len(texts), settings, gate)


def _live_runs(
    workspace: Workspace, live: Version, judged: Judgements, measure: Measure, job: Job
) -> Runs:
    """What live serves for each query, and its first results beyond."""
    collection = workspace.live_collection()
    built = workspace.registry.collection(str(collection))
    assert built is not None  # `live_version` found it
    how = ServingPlans(workspace.registry).settings_of(built)
    side = Side(
        live.name, built.name, workspace.encoder(live), how.oversampling, (), hnsw_ef=how.hnsw_ef
    )
    return runs_of(
        open_side(workspace.store, side), judged.queries, workspace.settings.evaluation.k,
        job.progress, depth=max(HARD, measure.k), exact=False,
    )  # fmt: skip


def _texts(
    workspace: Workspace,
    judged: Judgements,
    runs: Runs,
    limit: int,
    rng: np.random.Generator,
    job: Job,
) -> dict[str, str]:
    """The documents to embed, from one pass over the source (two with BM25)."""
    relevant = relevant_of(judged)
    rankings = [runs.deep or runs.served]
    if workspace.settings.evaluation.bm25:
        import_bm25s()
        everything = read_texts(workspace.source.documents(IgnoredLetters()), None, job.progress)
        rankings.append(bm25_run(everything, judged.queries, HARD))
    wanted = relevant | hard_distractors(rankings, relevant, int(HARD_SHARE * limit))
    strata = LengthStrata(max(1, limit - len(wanted)), rng)
    texts: dict[str, str] = {}
    for number, document in enumerate(workspace.source.documents(IgnoredLetters()), start=1):
        if str(document.id) in wanted:
            texts[str(document.id)] = document.text
        else:
            strata.see(document)
        if number % 10_000 == 0:
            job.progress("choosing documents to look at", number, None)
    return texts | {str(document.id): document.text for document in strata.sample()}


def _answered(judged: Judgements, texts: Mapping[str, str]) -> Judgements:
    """The queries all of whose relevant documents are there: of others there is no upper bound.

    Raises:
        ComparisonError: there are none.
    """
    kept = tuple(
        query
        for query in judged.queries
        if all(id in texts for id, grade in judged.qrels[query.id].items() if grade >= 1)
    )
    if not kept:
        raise ComparisonError(
            "An early stop needs judged queries whose relevant documents are in the source; of "
            f"{len(judged.queries)} queries none has all of its own there. Check that the ids in "
            "the judgements are those of the source."
        )
    return Judgements(kept, {query.id: judged.qrels[query.id] for query in kept})


def _embed(encoder: Encoder, texts: Mapping[str, str], job: Job) -> Vector:
    all_texts, parts = list(texts.values()), []
    for start in range(0, len(all_texts), BATCH):
        job.pace(min(BATCH, len(all_texts) - start))
        parts.append(encode_known(encoder, all_texts[start : start + BATCH]))
        job.progress("looking early", min(start + BATCH, len(all_texts)), len(all_texts))
    return np.concatenate(parts)
