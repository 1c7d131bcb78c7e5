"""Choosing the recipes of trials: Optuna's TPE sampler and median pruner, asked and told.

Nothing is kept here: the study is made anew from the trials that the registry holds, and the
sampler is seeded by the trial's number, so that after a kill the same recipes are asked for.
"""

from __future__ import annotations

import importlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reindex.errors import MissingExtra

if TYPE_CHECKING:
    from reindex.config.trials import TrialSettings
    from reindex.registry.trials import Trial

RANGES = ("learning_rate", "temperature")
CHOICES = ("epochs", "batch_size", "negatives", "matryoshka_dims")
BEFORE_PRUNING = 3
"""Trials that end before any is pruned: a median of fewer says little."""


def search_space(settings: TrialSettings) -> dict[str, Any]:
    """Key -> ``[low, high]`` or the choices, of what is searched."""
    found: dict[str, Any] = {}
    for name in RANGES:
        if bounds := getattr(settings, name):
            found[name] = {"low": bounds[0], "high": bounds[1]}
    for name in CHOICES:
        if len(options := getattr(settings, name)) > 1:
            found[name] = [list(item) if isinstance(item, tuple) else item for item in options]
    return found


class Recipes:
    """A study in memory.

    Raises:
        MissingExtra: Optuna is not installed.
    """

    def __init__(
        self, space: Mapping[str, Any], settings: TrialSettings, *, seed: int, metric: str
    ) -> None:
        try:
            self._optuna: Any = importlib.import_module("optuna")
        except ModuleNotFoundError:
            raise MissingExtra("trials", "optuna") from None
        self._optuna.logging.set_verbosity(logging.ERROR)
        self._settings, self._seed, self._metric = settings, seed, metric
        self._axes = {name: self._axis(values) for name, values in space.items()}
        self._study: Any = None

    def _axis(self, values: Any) -> Any:
        kinds = self._optuna.distributions
        if isinstance(values, Mapping):
            return kinds.FloatDistribution(values["low"], values["high"], log=True)
        return kinds.CategoricalDistribution([json.dumps(value) for value in values])

    def ask(self, number: int, known: Sequence[Trial], given: Mapping[str, Any] | None) -> Asked:
        """Trial ``number``, after those ``known``; ``given`` parameters where it is not to choose.

        Parameters in ``given`` that lie outside of the space are taken as they are.
        """
        optuna = self._optuna
        sampler = optuna.samplers.TPESampler(
            seed=self._seed + number, n_startup_trials=self._settings.startup
        )
        pruner = (
            optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING)
            if self._settings.prune
            else optuna.pruners.NopPruner()
        )
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        for trial in known:
            if trial.state != "running" and trial.value is not None and self._fits(trial.params):
                study.add_trial(self._told(trial))
        if given is not None and self._fits(given):
            study.enqueue_trial(self._packed(given))
        asked = study.ask(self._axes)
        params = {name: self._unpacked(name, value) for name, value in asked.params.items()}
        return Asked(asked, dict(given) if given is not None else params, self._metric)

    def _fits(self, params: Mapping[str, Any]) -> bool:
        packed = self._packed(params)
        return packed.keys() == self._axes.keys() and all(
            axis._contains(axis.to_internal_repr(packed[name]))
            if hasattr(axis, "low")
            else packed[name] in axis.choices
            for name, axis in self._axes.items()
        )

    def _packed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: value if hasattr(self._axes.get(name), "low") else json.dumps(value)
            for name, value in params.items()
        }

    def _unpacked(self, name: str, value: Any) -> Any:
        return value if hasattr(self._axes[name], "low") else json.loads(value)

    def _told(self, trial: Trial) -> Any:
        states = self._optuna.trial.TrialState
        pruned = trial.state != "complete"
        return self._optuna.trial.create_trial(
            params=self._packed(trial.params),
            distributions=self._axes,
            value=trial.value,
            intermediate_values={at: entry[self._metric] for at, entry in enumerate(trial.history)},
            state=states.PRUNED if pruned else states.COMPLETE,
        )


class Asked:
    """A recipe to try: its parameters, and whether to go on after each evaluation."""

    def __init__(self, trial: Any, params: dict[str, Any], metric: str) -> None:
        self._trial, self.params, self._metric = trial, params, metric
        self._reported = 0

    def hopeless(self, history: Sequence[Mapping[str, float]]) -> bool:
        """Whether what was seen so far is below the median of other trials at the same place."""
        for at, entry in enumerate(history[self._reported :], start=self._reported):
            self._trial.report(entry[self._metric], at)
        self._reported = len(history)
        return bool(history) and bool(self._trial.should_prune())
