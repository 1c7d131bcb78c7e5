"""k-fold cross-validation of a recipe: what it brings, where there are too few rows for one split.

Each fold in turn is left out, the base is fine-tuned on the others, and measured on the queries
that were left out. No checkpoint is chosen by them: the last one is taken, so the figure is not
flattered by a choice. The models are thrown away: `train` makes the version, from all rows.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.config import TrainSettings
from reindex.corpus.training_sets import Row
from reindex.datasets.near import distinct
from reindex.datasets.splitting import Split, fold_rows
from reindex.errors import ConfigError, DataError
from reindex.records import TrainingExample, query_hash, text_hash
from reindex.stages.bases import base_spec
from reindex.stages.objectives import objectives_of
from reindex.stages.recipe_checks import with_guide
from reindex.stages.supervision import Job, supervised
from reindex.stages.training import data_to_train_on, recipe_of
from reindex.stages.training_data import TrainingData
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.training.devset import DevSet

MOST_DOCUMENTS = 20_000
"""Documents that the queries of a fold are searched in, at most."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold: rows of all kinds left out, queries measured, metrics before and after."""

    number: int
    rows: int
    queries: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    seconds: float


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """All folds; ``mean`` and ``deviation`` (standard, between folds) are of the metrics after.

    ``told`` is what people should know of how the data was read.
    """

    folds: tuple[Fold, ...]
    documents: int
    groups: int
    held_out: int
    told: tuple[str, ...] = ()

    def mean(self, when: str, metric: str) -> float:
        """Over folds, each counting alike. ``when``: ``before`` or ``after``."""
        return statistics.fmean(getattr(fold, when)[metric] for fold in self.folds)

    def deviation(self, metric: str) -> float:
        """Standard deviation of the gain between folds."""
        return statistics.stdev(fold.after[metric] - fold.before[metric] for fold in self.folds)

    def as_dict(self) -> dict[str, Any]:
        """With the means over folds."""
        metrics = list(self.folds[0].after)
        return {
            "folds": list(self.folds), "documents": self.documents, "groups": self.groups,
            "held_out": self.held_out, "told": self.told,
            "before": {name: self.mean("before", name) for name in metrics},
            "after": {name: self.mean("after", name) for name in metrics},
            "gain_deviation": {name: self.deviation(name) for name in metrics},
        }  # fmt: skip


def cross_validate(
    workspace: Workspace,
    folds: int,
    settings: TrainSettings | None = None,
    *,
    corpus: Path | None = None,
) -> CrossValidation:
    """Measure what training brings on rows left out, ``folds`` times. Makes no version.

    Killed and called again with the same settings and data, it goes on where it stopped.

    Rows of all kinds are cut together, so that what is measured is in no kind's training.

    Raises:
        DataError: there are no queries with documents, in all or in a fold, or fewer groups of
            rows than folds.
        ConfigError: a launcher started several processes, or the recipe needs dev queries.
    """
    from reindex.training.ranks import processes

    if processes() > 1:
        raise ConfigError(
            f"Folds are measured by one process, and a launcher started {processes()}. Run "
            "`reindex train --folds` without it."
        )
    settings = settings or workspace.settings.train
    _check(settings)
    data = workspace if corpus is None else workspace.with_corpus(corpus)
    given = data_to_train_on(workspace, data, settings)
    rows = [row for item in given.sets for row in item.rows]
    examples = [row for row in rows if isinstance(row, TrainingExample)]
    if not examples:
        raise DataError("Folds are measured by retrieval; expected pairs or triplets, got none.")
    cut = fold_rows(rows, folds, seed=settings.seed)
    folder = workspace.settings.home / "runs" / f"folds-{_key(settings, given, cut)}"
    texts = distinct(text for row in examples for text in (row.positive, *row.negatives))
    documents = {text_hash(text): text for text in texts[:MOST_DOCUMENTS]}
    devs = [_dev([rows[at] for at in part], documents) for part in cut.parts]
    _check_measured(devs, cut)
    with supervised(workspace, "folds", None, locks=[folder.name]) as job:
        done = []
        for number, (part, dev) in enumerate(zip(cut.parts, devs, strict=True), 1):
            job.progress("folds", number - 1, folds)
            fold = _Fold(number, frozenset(part), dev, folder)
            done.append(fold.run(workspace, settings, given, job))
        job.details.update(folds=folds, rows=len(rows))
    return CrossValidation(tuple(done), len(documents), cut.groups, given.held_out, given.told)


def _check(settings: TrainSettings) -> None:
    """Refuse what a fold cannot do, rather than measure another recipe."""
    if settings.negatives.sources and settings.negatives.rounds > 1:
        raise ConfigError(
            f"Folds measure one round of mining, and train.negatives.rounds = "
            f"{settings.negatives.rounds}. Set 1 to measure by folds, or measure by dev queries."
        )
    if settings.averaging.base_weight == "auto":
        raise ConfigError(
            'train.averaging.base_weight = "auto" is chosen on dev queries, and a fold has none. '
            "Give a number to measure by folds."
        )


def _check_measured(devs: Sequence[DevSet], cut: Split) -> None:
    """Refuse folds of which one measures nothing, before the first is trained."""
    for number, (dev, part) in enumerate(zip(devs, cut.parts, strict=True), 1):
        if not dev.queries:
            raise DataError(
                f"Expected a query with a document in each of {len(devs)} folds, got none among "
                f"the {len(part):,} rows of fold {number} ({cut.groups:,} groups of rows that "
                f"share nothing, {cut.largest:,} in the largest). Take fewer folds or another "
                "train.seed, give more pairs, or leave other kinds of data out."
            )


@dataclass(frozen=True, slots=True)
class _Fold:
    """``left_out``: places among the rows of all sets, one set after the other."""

    number: int
    left_out: frozenset[int]
    dev: DevSet
    folder: Path

    def run(
        self, workspace: Workspace, settings: TrainSettings, given: TrainingData, job: Job
    ) -> Fold:
        """Train without this fold and measure on it; what was measured before is read."""
        note = self.folder / f"fold-{self.number}.json"
        if note.exists():
            return Fold(**json.loads(note.read_text("utf-8")))
        from reindex.training.base import load_base, resolve_base
        from reindex.training.devset import evaluate, make_evaluator
        from reindex.training.finetune import fine_tune
        from reindex.training.prompts import prompts_of

        base = resolve_base(base_spec(workspace, settings.base))
        run = self.folder / f"fold-{self.number}"
        objectives = objectives_of(workspace, settings, self._rest(given), job.progress)
        asked = with_guide(workspace, settings).model_copy(update={"rotate": False})
        result = fine_tune(asked, objectives, None, run, base=base, progress=job.progress)
        evaluator = make_evaluator(self.dev, batch_size=32)

        def measured(spec: str) -> dict[str, float]:
            prompts = prompts_of(settings, base)
            length, pooling = settings.max_length, settings.pooling
            model = load_base(spec, max_length=length, prompts=prompts, pooling=pooling)
            return evaluate(model, evaluator)

        fold = Fold(
            self.number, len(self.left_out), len(self.dev.queries), measured(base),
            measured(str(result.checkpoint)), result.seconds,
        )  # fmt: skip
        fields = {name: getattr(fold, name) for name in Fold.__slots__}
        note.write_text(json.dumps(fields), "utf-8")
        shutil.rmtree(run, ignore_errors=True)
        return fold

    def _rest(self, given: TrainingData) -> TrainingData:
        """What is not left out; a set of which nothing is left is none."""
        start, kept = 0, []
        for data, table in zip(given.sets, given.tables, strict=True):
            own = range(len(data.rows))
            rest = data.only(at for at in own if start + at not in self.left_out)
            start += len(data.rows)
            if rest.rows:
                kept.append((rest, table))
        sets, tables = zip(*kept, strict=True)
        return replace(given, sets=sets, tables=tables)


def _dev(rows: Sequence[Row], corpus: Mapping[str, str]) -> DevSet:
    """The queries among rows whose documents are in the corpus (by the texts' hashes)."""
    from reindex.training.devset import DevSet

    asked = [row for row in rows if isinstance(row, TrainingExample)]
    ids = {query_hash(text): key for key, text in corpus.items()}
    relevant: dict[str, set[str]] = {}
    for row in asked:
        if query_hash(row.positive) in ids:
            relevant.setdefault(query_hash(row.anchor), set()).add(ids[query_hash(row.positive)])
    queries = {query_hash(row.anchor): row.anchor for row in reversed(asked)}
    return DevSet(
        {key: queries[key] for key in relevant},
        corpus,
        {key: frozenset(found) for key, found in relevant.items()},
    )


def _key(settings: TrainSettings, given: TrainingData, cut: Split) -> str:
    content = json.dumps([recipe_of(settings, given), cut.parts], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
