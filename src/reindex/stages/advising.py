"""`reindex advise`: measures what serves, the base and what is around them, and says what to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from reindex.advice.evidence import (
    Bench,
    Run,
    Scores,
    fused_run,
    lexical_run,
    recall_among_all,
)
from reindex.advice.findings import Advice, Cost, Finds, Judged, Pilot
from reindex.advice.rules import Evidence, advise_on
from reindex.artifact import default_matryoshka_dims
from reindex.errors import ConfigError, DataError, MissingExtra, ModelError, ReindexError
from reindex.evaluation.compare import judged_set_hash
from reindex.forecast import Shape, seconds_of
from reindex.protocols import Encoder
from reindex.records import Judgements, TrainingExample
from reindex.registry.judged_uses import JudgedUses
from reindex.registry.ledger import Version
from reindex.stages.bases import base_spec
from reindex.stages.piloting import PilotRun, draw_bench, embed_and_search
from reindex.stages.planning import plan
from reindex.stages.sampling import Sample, take_sample
from reindex.stages.training_data import training_data
from reindex.workspace import Workspace

logger = logging.getLogger(__name__)

SAMPLE, PASS_S = 256, 20.0
"""Documents whose payloads are weighed; seconds that counting the source may take."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to look at: further base models, and whether and how long a pilot may train."""

    others: tuple[str, ...] = ()
    pilot: bool = True
    minutes: float | None = None


@dataclass
class _Looked:
    """What was seen so far."""

    finds: list[Finds] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    rate: float = 0.0
    dim: int = 0
    first: tuple[Run, Scores] | None = None


def advise(workspace: Workspace, wish: Wish | None = None) -> Advice:
    """Look at all that can be looked at, and advise. What cannot is named, not an error.

    A look at the judged set is written down. Nothing else is.

    Raises:
        ConfigError: files that the settings name are not there.
        DataError: judgements that do not fit the documents, or a base that is no model.
    """
    wish, settings = wish or Wish(), workspace.settings.advice
    looked = _Looked()
    examples = _pairs(workspace, looked)
    sample = _sample(workspace, looked)
    split, judgements = _judgements(workspace, looked)
    evidence = Evidence((), None, None if examples is None else len(examples), None, None)
    if judgements is not None and sample is not None:
        bench = draw_bench(workspace, judgements, settings.queries, settings.documents)
        judged = _measure(workspace, wish, bench, (split, judgements, sample), looked)
        pilot = _pilot(workspace, wish, judgements, examples, looked) if looked.finds else None
        evidence = replace(evidence, finds=tuple(looked.finds), judged=judged, pilot=pilot)
    evidence = replace(
        evidence, cost=_cost(workspace, sample, looked), missing=tuple(looked.missing)
    )
    return advise_on(evidence, settings)


# -- what there is


def _pairs(workspace: Workspace, looked: _Looked) -> list[TrainingExample] | None:
    """Queries with documents; what else there is to train on is named."""
    try:
        sets = training_data(workspace, workspace.settings.train).sets
    except (ConfigError, DataError) as error:
        looked.missing.append(f"training pairs: {error}")
        return None
    looked.missing += [
        f"{data.name}: {len(data.rows):,} rows of kind {data.kind} are trained on, too; only "
        "queries with documents are counted here, and in a pilot"
        for data in sets
        if data.kind not in ("pairs", "triplets")
    ]
    rows = (row for data in sets for row in data.rows if isinstance(row, TrainingExample))
    return list(dict.fromkeys(rows)) or None  # drawn by weight, one may be there several times


def _sample(workspace: Workspace, looked: _Looked) -> Sample | None:
    workspace.progress("reading documents", 0, None)
    try:
        return take_sample(workspace.source, size=SAMPLE, seconds=PASS_S)
    except ReindexError as error:
        looked.missing.append(f"documents: {error}")
        return None


def _judgements(workspace: Workspace, looked: _Looked) -> tuple[str, Judgements | None]:
    """dev where there is one, for test is better kept for the comparison."""
    for split in ("dev", "test"):
        found = workspace.judgements(split)
        if found is not None:
            if split == "test":
                looked.missing.append(
                    "dev judgements: the test queries were looked at instead, which the gate "
                    "decides by. Split some off and name them in evaluation.dev_qrels."
                )
            return split, found
    looked.missing.append(
        "judged queries: none are configured. Name evaluation.queries and evaluation.dev_qrels; "
        "or build two versions, then `reindex pool` and `reindex judge` make some; 50 queries are "
        "a beginning, 200 and more tell small differences."
    )
    return "", None


# -- what each way of searching finds


def _measure(
    workspace: Workspace,
    wish: Wish,
    bench: Bench,
    about: tuple[str, Judgements, Sample],
    looked: _Looked,
) -> Judged | None:
    split, judgements, sample = about
    for role, name, open_it in _models(workspace, wish):
        workspace.progress(f"embedding with {name}", 0, None)
        try:
            encoder = open_it()
        except ReindexError as error:
            looked.missing.append(f"{name}: {error}")
            continue
        _look(looked, bench, role, name, _dense(bench, encoder, looked))
    _lexical(workspace, bench, looked)
    if looked.first is None:
        return None
    digest, looks = judged_set_hash(judgements), JudgedUses(workspace.registry)
    looks.add(digest, "advice")
    return Judged(
        split=split,
        queries=len(bench.queries),
        of_queries=len(judgements.queries),
        groups=len(np.unique(bench.groups)),
        documents=len(bench.documents),
        of_documents=sample.total,
        k=bench.k,
        judged_set=digest,
        uses=looks.count(digest),
        recall_at_all=(
            recall_among_all(bench, looked.first[0], sample.total)
            if len(bench.documents) < sample.total
            else None
        ),
    )


def _models(workspace: Workspace, wish: Wish) -> list[tuple[str, str, Callable[[], Encoder]]]:
    """Role, name and how to open: what serves (unless it is the base), the base, others."""
    base, live = workspace.settings.train.base, _live(workspace)
    found: list[tuple[str, str, Callable[[], Encoder]]] = []
    if live is not None and not (live.kind == "base" and live.base == base):
        found.append(("live", live.name, lambda: workspace.encoder(live, tune=True)))
    for role, name in [("base", base), *(("other", other) for other in wish.others)]:
        found.append((role, name, lambda name=name: _open(workspace, name)))  # type: ignore[misc]
    return found


def _live(workspace: Workspace) -> Version | None:
    """What serves, if that can be told and embeds here."""
    try:
        found = workspace.live_version()
    except ReindexError as error:  # an owner elsewhere, a server that is down
        logger.debug("What is live cannot be told: %s", error)
        return None
    return found if found is not None and found.artifact is not None else None


def _open(workspace: Workspace, name: str) -> Encoder:
    """An exported version of this very base embeds fastest; else the model in torch."""
    for version in reversed(workspace.registry.versions()):
        same = version.name == name or (version.base == name and version.kind == "base")
        if same and version.artifact is not None:
            return workspace.encoder(version, tune=True)
    from reindex.training.pilot import encoder_of

    settings = workspace.settings.train
    if name != settings.base:  # which has a pooling of its own
        settings = settings.model_copy(update={"pooling": None})
    return encoder_of(base_spec(workspace, name), settings)


def _dense(bench: Bench, encoder: Encoder, looked: _Looked) -> Run:
    run, rate, dim = embed_and_search(bench, encoder)
    if not looked.rate:
        looked.rate, looked.dim = rate, dim
    return run


def _look(looked: _Looked, bench: Bench, role: str, name: str, run: Run) -> None:
    recall, ndcg = bench.scores(run)
    gain = None if looked.first is None else bench.gain(looked.first[1], ndcg)
    looked.finds.append(Finds(name, role, bench.interval(recall), bench.interval(ndcg), gain))
    looked.first = looked.first or (run, ndcg)


def _lexical(workspace: Workspace, bench: Bench, looked: _Looked) -> None:
    """BM25 alone, and fused with what serves."""
    workspace.progress("BM25", 0, None)
    try:
        run = lexical_run(bench)
    except MissingExtra as error:
        looked.missing.append(f"BM25 and hybrid search: {error}")
        return
    if looked.first is not None:
        _look(looked, bench, "bm25", "BM25 alone", run)
        name = f"hybrid ({looked.finds[0].name} + BM25)"
        _look(looked, bench, "hybrid", name, fused_run(looked.first[0], run))


# -- what a new model would cost, and bring


def _cost(workspace: Workspace, sample: Sample | None, looked: _Looked) -> Cost | None:
    """By `plan` where a version is exported, else by the rate at which the base embedded."""
    ready = [item for item in workspace.registry.versions() if item.artifact is not None]
    if ready:
        try:
            made = plan(workspace, ready[-1].name)
        except ReindexError as error:
            looked.missing.append(f"the cost of reindexing: {error}")
            return None
        rate = made.encode_rate
        lasts = seconds_of(
            made.documents, made.documents, encode_rate=max(rate, 1e-9),
            read_rate=made.read_rate, throttle=made.throttle,
        )  # fmt: skip
        by = f"reindex plan {ready[-1].name}, of all documents"
        return Cost(made.documents, lasts, rate, made.memory, made.disk, by)
    if sample is None or not looked.rate:
        looked.missing.append("the cost of reindexing: nothing here can embed yet")
        return None
    shape = _shape(workspace, sample, looked.dim)
    lasts = seconds_of(
        sample.total, sample.total, encode_rate=looked.rate, read_rate=sample.rate, throttle=None
    )
    by = "the base in torch; its int8 artifact is several times as fast"
    return Cost(sample.total, lasts, looked.rate, shape.memory, shape.disk, by)


def _shape(workspace: Workspace, sample: Sample, dim: int) -> Shape:
    prefix = workspace.settings.store.prefix_dim or default_matryoshka_dims(dim)[-1]
    return Shape(
        points=sample.total,
        dim=dim,
        prefix_dim=prefix if workspace.settings.store.layout == "two-stage" else None,
        payload_bytes=sample.payload_bytes,
        server=workspace.settings.store.kind == "server",
    )


def _pilot(
    workspace: Workspace,
    wish: Wish,
    judgements: Judgements,
    examples: list[TrainingExample] | None,
    looked: _Looked,
) -> Pilot | None:
    if not wish.pilot or examples is None:
        return None
    minutes = wish.minutes or workspace.settings.advice.pilot_minutes
    run = PilotRun(workspace, judgements, examples, minutes * 60)
    try:
        found = run.run()
    except (MissingExtra, ModelError, ConfigError, DataError) as error:
        looked.missing.append(f"the pilot: {error}")
        return None
    if found is None:
        looked.missing.append(f"the pilot: {run.short}")
    return found
