"""Before stage 1: what a training will need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reindex.config import TrainSettings
from reindex.corpus.training_sets import TrainingSet
from reindex.records import TrainingExample
from reindex.stages.bases import base_spec
from reindex.stages.recipe_checks import check_recipe, choices_of, with_guide
from reindex.stages.training_data import training_data
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.training.needs import TrainingNeeds


def plan_training(workspace: Workspace, settings: TrainSettings | None = None) -> TrainingNeeds:
    """Memory, rate and time of `train` with these settings; writes nothing.

    Negatives that are to be mined are counted, not mined.

    Raises:
        ConfigError: no pairs are configured, or their file is not there.
        DataError: none can be used, or a loss does not take them.
        ModelError: the base, a teacher or a guide cannot be had.
    """
    from reindex.training.losses import is_cached
    from reindex.training.needs import measure_needs

    settings = settings or workspace.settings.train
    given = training_data(workspace, settings, workspace)
    check_recipe(workspace, settings, given)
    rows = [row for data in given.sets for row in data.rows]
    drawn = sum(
        len(data.rows) * table.weight for data, table in zip(given.sets, given.tables, strict=True)
    )
    base, guide = base_spec(workspace, settings.base), None
    choices = choices_of(settings, given)
    if any(choice.loss.guide for choice in choices):
        guide = with_guide(workspace, settings).guide or base
    cached = all(
        is_cached(choice.loss, settings, _negatives(settings, data))
        for choice, data in zip(choices, given.sets, strict=True)
    )
    return measure_needs(settings, rows, base, weight=drawn / len(rows), guide=guide, cached=cached)


def _negatives(settings: TrainSettings, data: TrainingSet) -> int:
    """Of a row at most, once they are mined."""
    if settings.negatives.sources:
        return settings.negatives.number
    given = (len(row.negatives) for row in data.rows if isinstance(row, TrainingExample))
    return max(given, default=0)
