"""A few documents instead of all: judged ones, hard distractors and a stratified sample."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from reindex.corpus.dead_letters import IgnoredLetters
from reindex.errors import ComparisonError
from reindex.evaluation.baselines import bm25_run, import_bm25s, read_texts
from reindex.evaluation.early import (
    HARD,
    HARD_SHARE,
    RELEVANT_SHARE,
    LengthStrata,
    choose_queries,
    hard_distractors,
    relevant_of,
)
from reindex.evaluation.metrics import answerable
from reindex.evaluation.retrieval import Runs, Side, open_side, runs_of
from reindex.evaluation.subset import encode_known
from reindex.protocols import Encoder
from reindex.records import Judgements, Vector
from reindex.registry.ledger import BuiltCollection
from reindex.registry.serving_plans import ServingPlans
from reindex.stages.supervision import Job
from reindex.workspace import Workspace

BATCH = 256


@dataclass(frozen=True, slots=True)
class Few:
    """Some documents' texts by id, the judged queries all of whose answers are among them, and
    what live serves for those.
    """

    judged: Judgements
    texts: dict[str, str]
    runs: Runs


def choose_few(
    workspace: Workspace, live: BuiltCollection, judgements: Judgements, depth: int, job: Job
) -> Few:
    """Choose about ``build.early_documents`` documents.

    Relevant ones of random queries take half at most, then what live (and BM25, where
    ``evaluation.bm25`` is on) confuses with them, and a sample of the source stratified by length.
    Live is searched for ``depth`` results at least.

    Raises:
        ComparisonError: no query has all of its relevant documents in the source.
    """
    rng = np.random.default_rng(workspace.settings.evaluation.seed)
    limit = workspace.settings.build.early_documents
    qrels = answerable(judgements.qrels)
    known = Judgements(tuple(q for q in judgements.queries if q.id in qrels), qrels)
    judged = choose_queries(known, int(RELEVANT_SHARE * limit), rng)
    runs = _live_runs(workspace, live, judged, depth, job)
    texts = _texts(workspace, judged, runs, limit, rng, job)
    return Few(answered(judged, texts), texts, runs)


def _live_runs(
    workspace: Workspace, live: BuiltCollection, judged: Judgements, depth: int, job: Job
) -> Runs:
    """What live serves for each query, and its first results beyond."""
    version = workspace.registry.version(live.version)
    how = ServingPlans(workspace.registry).settings_of(live)
    side = Side(
        version.name, live.name, workspace.encoder(version), how.oversampling, (),
        hnsw_ef=how.hnsw_ef,
    )  # fmt: skip
    return runs_of(
        open_side(workspace.store, side), judged.queries, workspace.settings.evaluation.k,
        job.progress, depth=max(HARD, depth), exact=False,
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


def answered(judged: Judgements, documents: Collection[str]) -> Judgements:
    """The queries all of whose relevant documents are there: of others there is no upper bound.

    Raises:
        ComparisonError: there are none.
    """
    there = frozenset(documents)
    kept = tuple(
        query
        for query in judged.queries
        if all(id in there for id, grade in judged.qrels[query.id].items() if grade >= 1)
    )
    if not kept:
        raise ComparisonError(
            "A look at a few documents needs judged queries whose relevant documents are in the "
            f"source; of {len(judged.queries)} queries none has all of its own there. Check that "
            "the ids in the judgements are those of the source."
        )
    return Judgements(kept, {query.id: judged.qrels[query.id] for query in kept})


def embed_few(
    encoder: Encoder, texts: Mapping[str, str], job: Job, *, stage: str = "looking early"
) -> Vector:
    """``(n, dim)`` vectors in the order of ``texts``; of what the encoder knows, the known ones."""
    all_texts, parts = list(texts.values()), []
    for start in range(0, len(all_texts), BATCH):
        job.pace(min(BATCH, len(all_texts) - start))
        parts.append(encode_known(encoder, all_texts[start : start + BATCH]))
        job.progress(stage, min(start + BATCH, len(all_texts)), len(all_texts))
    return np.concatenate(parts)
