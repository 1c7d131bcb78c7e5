"""Before negatives are mined or a version begins: can this recipe be trained on this data?"""

from __future__ import annotations

from reindex.config import TrainSettings
from reindex.corpus.training_sets import TrainingSet
from reindex.errors import ConfigError
from reindex.losses import Choice, choose_loss
from reindex.records import TrainingExample
from reindex.stages.bases import base_spec
from reindex.stages.training_data import TrainingData
from reindex.workspace import Workspace


def check_recipe(workspace: Workspace, settings: TrainSettings, given: TrainingData) -> None:
    """Refuse at once what would be refused after hours of mining, with a version begun for it.

    Raises:
        DataError: a loss does not take its data, as it will be once negatives are mined, or a
            curriculum has no negatives.
        ConfigError: a teacher is named and nothing learns from it.
        ModelError: the base, the teacher or the guide cannot be had, or the base is a
            cross-encoder.
        MissingExtra: QLoRA, and bitsandbytes is not installed.
    """
    from reindex.training.adapters import quantization
    from reindex.training.phases import in_phases

    choices = choices_of(settings, given)
    _embeds(workspace, settings.base)
    if not settings.negatives.sources and len(given.sets) == 1:
        in_phases(_examples(given.sets[0]), settings.negatives.phases)
    if settings.teacher is not None:
        if not any(choice.loss.teacher for choice in choices):
            raise ConfigError(
                f"train.teacher names {settings.teacher}, and nothing learns from it: margin-mse "
                "and kl compare a positive with hard negatives. Give rows with negatives, mine "
                "them ([train.negatives]), or leave the teacher out."
            )
        _reachable(workspace, settings.teacher)
    if settings.guide is not None and any(choice.loss.guide for choice in choices):
        _reachable(workspace, settings.guide)
    quantization(settings.lora)


def choices_of(settings: TrainSettings, given: TrainingData) -> list[Choice]:
    """The loss of each set, as its rows will be once negatives are mined. Raises DataError."""
    return [
        _choice(settings, data, table.loss)
        for data, table in zip(given.sets, given.tables, strict=True)
    ]


def _choice(settings: TrainSettings, data: TrainingSet, loss: str | None) -> Choice:
    examples = _examples(data)
    mined = bool(settings.negatives.sources and examples)  # and has no scores of its own any more
    scored = not mined and bool(examples) and all(row.scores for row in examples)
    return choose_loss(
        "triplets" if mined else data.kind,
        loss or settings.loss,
        scored=scored or settings.teacher is not None,
        name=data.name,
    )


def _examples(data: TrainingSet) -> list[TrainingExample]:
    return [row for row in data.rows if isinstance(row, TrainingExample)]


def _embeds(workspace: Workspace, base: str) -> None:
    from reindex.training.base import refuse_ranker, resolve_base
    from reindex.training.hub import without_hub

    place = resolve_base(base_spec(workspace, base))
    refuse_ranker(base, place, without_hub(place))


def _reachable(workspace: Workspace, spec: str) -> None:
    from reindex.training.base import resolve_base
    from reindex.training.hub import without_hub

    without_hub(resolve_base(base_spec(workspace, spec)))


def with_guide(workspace: Workspace, settings: TrainSettings) -> TrainSettings:
    """The settings as a training takes them: the guide's place in the place of its name."""
    if settings.guide is None:
        return settings
    return settings.model_copy(update={"guide": base_spec(workspace, settings.guide)})
