"""`reindex train --trials`: many recipes tried on dev; the best becomes a version."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.config import TrainSettings
from reindex.config.training_negatives import NegativeSettings
from reindex.errors import ConfigError, DataError, ModelError
from reindex.evaluation.compare import judged_set_hash
from reindex.registry.judged_uses import JudgedUses
from reindex.registry.ledger import Version
from reindex.registry.trials import Studies, Study, Trial
from reindex.stages.bases import base_spec
from reindex.stages.objectives import held_out_of, objectives_of
from reindex.stages.rounds import asked_in
from reindex.stages.supervision import Job, supervised
from reindex.stages.training import (
    Trained,
    data_to_train_on,
    dev_set,
    recipe_of,
    reserve_version,
    train,
)
from reindex.stages.training_data import TrainingData
from reindex.stages.trial_recipes import check_space, own_recipe, variant
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.training.measures import HeldOut
    from reindex.training.objectives import Objective
    from reindex.training.recipes import Asked, Recipes


@dataclass(frozen=True, slots=True)
class Searched:
    """A search over recipes: its trials, the best one, and the version that it became.

    ``looks`` counts how often the dev set was looked at to choose by, in all.
    """

    study: Study
    trials: tuple[Trial, ...]
    best: Trial
    trained: Trained
    looks: int


class _Hopeless(Exception):
    """Ends a training that its trial gave up."""


def search_recipes(
    workspace: Workspace, wanted: int, settings: TrainSettings | None = None
) -> Searched:
    """Try recipes until the study has ``wanted`` trials, then make the best one a version.

    The first trial is the recipe of the settings themselves. Each trial is in the registry before
    it begins. Called again with the same settings and data, the study goes on: a trial that was
    cut off from its last checkpoint, and those that ended are not tried again.

    Raises:
        ConfigError: there is no dev set to choose by, nothing to search, or a value in [trials]
            that does not go with [train].
        DataError: the examples cannot be used.
        ModelError: every trial failed; the message is the last one's.
        MissingExtra: the [train] or [trials] extra is not installed.
        Locked: another process works on this study.
    """
    settings = settings or workspace.settings.train
    search = _Search.begin(workspace, settings)
    with supervised(workspace, "trials", None, locks=[f"study:{search.study.id}"]) as job:
        for number in range(wanted):
            search.try_one(number, wanted, job)
        job.details.update(study=search.study.id, trials=wanted)
    return search.end()


@dataclass
class _Search:
    """A study being worked on."""

    workspace: Workspace
    settings: TrainSettings
    study: Study
    recipes: Recipes
    held: HeldOut
    base: str
    given: dict[NegativeSettings, TrainingData]

    @classmethod
    def begin(cls, workspace: Workspace, settings: TrainSettings) -> _Search:
        """Find or begin the study of these settings and this data."""
        from reindex.training.base import resolve_base
        from reindex.training.prompts import with_prompts
        from reindex.training.ranks import processes
        from reindex.training.recipes import Recipes, search_space

        if processes() > 1:
            raise ConfigError(
                f"Trials run in one process, and a launcher started {processes()}. Run "
                "`reindex train --trials` without it."
            )

        judgements, dev = workspace.judgements("dev"), dev_set(workspace, settings)
        if dev is None or judgements is None:
            raise ConfigError(
                "Trials are chosen by dev queries, and there are none. Name evaluation.queries and "
                "evaluation.dev_qrels (a part of your judged queries that the gate does not use)."
            )
        ranges = workspace.settings.trials
        space = search_space(ranges)
        if "negatives" in space and not settings.negatives.sources:
            raise ConfigError(
                "trials.negatives is searched, but no source of negatives is chosen. Set "
                "train.negatives.sources (or --negatives mixed), or leave trials.negatives empty."
            )
        if not space:
            raise ConfigError("Every range in [trials] is empty or a single value: nothing to try.")
        if not _begun(Studies(workspace.registry), settings, space):
            check_space(settings, space)
        from reindex.training.devset import METRICS

        recipes = Recipes(space, ranges, seed=settings.seed, metric=METRICS[0])
        base = resolve_base(base_spec(workspace, settings.base))
        settings = with_prompts(settings, base)
        given = data_to_train_on(workspace, workspace, settings)
        study = Studies(workspace.registry).open(
            _key(settings, space, given, dev.digest),
            base=settings.base,
            metric=METRICS[0],
            judged_set=judged_set_hash(judgements),
            seed=settings.seed,
            space=space,
            examples=sum(len(data.rows) for data in given.sets),
            before={},
        )
        held = held_out_of(workspace, settings, dev)
        return cls(workspace, settings, study, recipes, held, base, {settings.negatives: given})

    @property
    def _studies(self) -> Studies:
        return Studies(self.workspace.registry)

    @property
    def trials(self) -> list[Trial]:
        """All trials so far."""
        return self._studies.trials(self.study.id)

    def _folder(self, number: int) -> Path:
        return self.workspace.run_folder(f"study-{self.study.id}-trial-{number}")

    def try_one(self, number: int, wanted: int, job: Job) -> None:
        """Train trial ``number``, unless it has ended already."""
        known = self.trials
        trial = known[number] if number < len(known) else None
        if trial is not None and trial.state != "running":
            return
        given = trial.params if trial else None
        if trial is None and number == 0:
            given = own_recipe(self.settings, self.study.space)
        asked = self.recipes.ask(number, known[:number], given)
        trial = self._studies.begin(
            self.study.id, number, params=asked.params, seed=self.settings.seed
        )
        job.progress("trials", number, wanted)
        self._run(trial, asked, job)
        self._tidy()

    def _objectives(self, settings: TrainSettings, job: Job) -> list[Objective]:
        return objectives_of(self.workspace, settings, self._data(settings), job.progress)

    def _run(self, trial: Trial, asked: Asked, job: Job) -> None:
        from reindex.training.finetune import fine_tune

        def seen(entry: Mapping[str, float]) -> None:
            history = self._studies.look(self.study, trial.number, entry).history
            if asked.hopeless(history) and len(history) < self.settings.evaluations:
                raise _Hopeless

        study, number, folder = self.study.id, trial.number, self._folder(trial.number)
        try:
            settings = variant(self.settings, trial.params)
            result = fine_tune(
                asked_in(self.workspace, settings, 0), self._objectives(settings, job),
                self.held, folder,
                base=self.base, progress=job.progress, on_evaluation=seen,
            )  # fmt: skip
        except _Hopeless:
            seconds = _seconds(folder)
            self._studies.close(study, number, "pruned", seconds=seconds, why="below the median")
        except (ModelError, DataError, ConfigError) as error:
            self._studies.close(study, number, "failed", seconds=_seconds(folder), why=str(error))
        else:
            self._studies.measured_base(study, result.metrics_before)
            for entry in result.history:  # all are known, unless a kill came in between
                if self.study.metric in entry:
                    self._studies.look(self.study, number, entry)
            self._studies.close(study, number, "complete", seconds=result.seconds)

    def _data(self, settings: TrainSettings) -> TrainingData:
        if settings.negatives not in self.given:
            found = data_to_train_on(self.workspace, self.workspace, settings)
            self.given[settings.negatives] = found
        return self.given[settings.negatives]

    def best(self) -> Trial | None:
        """The trial that ended with the best dev figure; the first of equals."""
        ended = [item for item in self.trials if item.state == "complete"]
        return max(ended, key=lambda item: (item.value or 0.0, -item.number), default=None)

    def _tidy(self) -> None:
        """Keep the best trial's model alone; figures stay in the registry."""
        best = self.best()
        for trial in self.trials:
            if trial.state != "running" and trial != best:
                shutil.rmtree(self._folder(trial.number), ignore_errors=True)

    def end(self) -> Searched:
        """The best trial as a version: its run is taken over, nothing is trained again."""
        best, trials = self.best(), self.trials
        if best is None:
            raise ModelError(
                f"None of {len(trials)} trials came to its end. The last: {trials[-1].why}"
            )
        settings = variant(self.settings, best.params)
        version = reserve_version(self.workspace, settings, self._data(settings))
        self._hand_over(best, version)
        trained = train(self.workspace, settings)
        self._studies.name(self.study.id, trained.version.name)
        study = next(item for item in self._studies.all() if item.id == self.study.id)
        looks = JudgedUses(self.workspace.registry).count(study.judged_set)
        return Searched(study, tuple(trials), best, trained, looks)

    def _hand_over(self, best: Trial, version: Version) -> None:
        source, target = self._folder(best.number), self.workspace.run_folder(version.name)
        if version.state == "created" and source.is_dir() and not target.exists():
            source.rename(target)


def _begun(studies: Studies, settings: TrainSettings, space: Mapping[str, Any]) -> bool:
    """Whether such a space has been searched: that search goes on, whatever it comes upon."""
    return any(
        (study.base, study.seed, study.space) == (settings.base, settings.seed, space)
        for study in studies.all()
    )


def _seconds(folder: Path) -> float:
    """What a training that did not end noted of its time."""
    try:
        return float(json.loads((folder / "run.json").read_text("utf-8")).get("seconds", 0.0))
    except (OSError, ValueError):
        return 0.0


def _key(settings: TrainSettings, space: Mapping[str, Any], given: TrainingData, dev: str) -> str:
    """sha256 over all that decides a study."""
    fixed = recipe_of(settings, given) | {"dev": dev, "space": dict(space)}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()
