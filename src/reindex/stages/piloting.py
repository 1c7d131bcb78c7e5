"""The pilot of an advice: trainings on slices of the pairs within a time, each measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reindex.advice.curve import estimate
from reindex.advice.evidence import Bench, Run, Scores, dense_run
from reindex.advice.findings import Pilot, PilotPoint
from reindex.evaluation.groups import group_queries
from reindex.protocols import Encoder
from reindex.records import Judgements, TrainingExample
from reindex.stages.bases import base_spec
from reindex.stages.reading import documents_of
from reindex.stages.recipe_checks import with_guide
from reindex.workspace import Workspace

UNKNOWN = (
    "the luck of one seed: each slice was trained once, and seeds differ by some tenths of a "
    "percent",
    "where the curve flattens: the lower end supposes that it does so at once",
    "queries and documents that are unlike the judged ones",
)


def draw_bench(workspace: Workspace, judgements: Judgements, queries: int, documents: int) -> Bench:
    """A pool to search: some queries, their judged documents, and random others."""
    from reindex.training.devset import make_dev_set

    seed, k = workspace.settings.evaluation.seed, workspace.settings.evaluation.k
    with documents_of(workspace) as source:
        drawn = make_dev_set(
            judgements, source, max_queries=queries, max_documents=documents, seed=seed
        )
    kept = tuple(query for query in judgements.queries if query.id in drawn.relevant)
    qrels = {
        query.id: {
            document: grade
            for document, grade in judgements.qrels[query.id].items()
            if document in drawn.corpus
        }
        for query in kept
    }
    groups = group_queries(Judgements(kept, qrels))
    return Bench(kept, qrels, groups, drawn.corpus, k, seed)


def embed_and_search(bench: Bench, encoder: Encoder) -> tuple[Run, float, int]:
    """The nearest documents of each query; documents embedded per second; the dimension."""
    ids, texts = list(bench.documents), list(bench.documents.values())
    started = time.monotonic()
    documents = encoder.encode_documents(texts)
    rate = len(texts) / max(time.monotonic() - started, 1e-9)
    queries = encoder.encode_queries([query.text for query in bench.queries])
    run = dense_run(queries, documents, ids, [query.id for query in bench.queries])
    return run, rate, documents.shape[1]


@dataclass(frozen=True, slots=True)
class _Point:
    """A model of the curve: each query's recall and nDCG, and the seconds of its training."""

    recall: Scores
    ndcg: Scores
    seconds: float = 0.0


@dataclass
class PilotRun:
    """Trains on slices within ``seconds``, and measures each on a small pool.

    ``short`` says, after `run` returned None, how long it would have taken.
    """

    workspace: Workspace
    judgements: Judgements
    examples: Sequence[TrainingExample]
    seconds: float
    short: str = ""
    _found: dict[int, _Point] = field(default_factory=dict)
    _once: float = 0.0
    _started: float = 0.0
    _left_out: str = ""

    def run(self) -> Pilot | None:
        """The curve, or None where the time is too short for slices that say something.

        Raises:
            MissingExtra: the [train] extra is not installed.
            ModelError: the base cannot be loaded.
            ConfigError, DataError: the settings and the pairs do not fit.
        """
        from reindex.training.pilot import SMALLEST, encoder_of, slice_seconds, slice_size

        self._started = time.monotonic()
        settings = self.workspace.settings
        base, advice = base_spec(self.workspace, settings.train.base), settings.advice
        bench = draw_bench(self.workspace, self.judgements, advice.queries, advice.pilot_documents)
        rate = self._measure(bench, 0, encoder_of(base, settings.train), 0.0)
        self._once = time.monotonic() - self._started  # of each measurement that is to come
        left = self.seconds - 4 * self._once
        size = slice_size(len(self.examples), rate, left, settings.train.epochs)
        if size < 8 * SMALLEST and size < len(self.examples):
            wanted = min(8 * SMALLEST, len(self.examples))
            needed = 4 * self._once + slice_seconds(wanted, rate, settings.train.epochs)
            self.short = (
                f"{self.seconds / 60:.1f} minutes are too few for slices of {SMALLEST} pairs and "
                f"more here; about {needed / 60:.0f} would do (--budget)."
            )
            return None
        self._train(bench, base, size)
        return self._report(bench)

    def _measure(self, bench: Bench, pairs: int, encoder: Encoder, seconds: float) -> float:
        run, rate, _ = embed_and_search(bench, encoder)
        self._found[pairs] = _Point(*bench.scores(run), seconds)
        return rate

    def _may_begin(self, lasts: float) -> bool:
        return time.monotonic() - self._started + lasts + self._once <= self.seconds

    def _train(self, bench: Bench, base: str, size: int) -> None:
        from reindex.training.pilot import of_slices, train_slices

        settings = self.workspace.settings
        asked, self._left_out = of_slices(with_guide(self.workspace, settings.train), self.examples)
        with tempfile.TemporaryDirectory(dir=settings.home) as folder:
            slices = train_slices(
                asked, self.examples, Path(folder) / "pilot",
                base=base, size=size, may_begin=self._may_begin,
            )  # fmt: skip
            for done in slices:
                self.workspace.progress("pilot: pairs trained on", done.pairs, size)
                self._measure(bench, done.pairs, done.encoder, done.seconds)

    def _report(self, bench: Bench) -> Pilot:
        have, k = len(self.examples), bench.k
        points = tuple(
            PilotPoint(n, round(at.seconds, 1), bench.interval(at.recall), bench.interval(at.ndcg))
            for n, at in self._found.items()
        )
        ndcg = {n: at.ndcg for n, at in self._found.items()}
        recall = {n: at.recall for n, at in self._found.items()}
        guesses = dict.fromkeys(
            estimate(f"{name}@{k}", scores, bench.groups, pairs, seed=bench.seed)
            for pairs in (have, 2 * have)
            for name, scores in (("ndcg", ndcg), ("recall", recall))
        )
        estimates = tuple(item for item in guesses if item is not None)
        too_far = any(item.pairs < have for item in estimates)
        short = [f"what all {have:,} pairs bring: the slices are too small"] if too_far else []
        if self._left_out:
            short.append(f"what your settings bring beside the pairs: {self._left_out}")
        unknown = (*UNKNOWN, *short)
        return Pilot(points, estimates, time.monotonic() - self._started, unknown)
