"""Training on mined negatives, in rounds: train, mine with the tuned model, train that one on."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reindex.config import TrainSettings
from reindex.encoder import OnnxEncoder
from reindex.errors import ArtifactError, MissingExtra, ModelError, ParityError
from reindex.plain import to_plain
from reindex.protocols import Encoder, Progress, no_progress
from reindex.stages.mining import MinedData, mine_sets, mined_data
from reindex.stages.mining_means import means_of
from reindex.stages.objectives import objectives_of
from reindex.stages.recipe_checks import with_guide
from reindex.stages.training_data import TrainingData
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.training.finetune import TrainResult
    from reindex.training.measures import HeldOut

logger = logging.getLogger(__name__)

_SHOWN = {"examples", "suspects", "seconds", "cached"}
"""Of a mining's report, what the lineage does without."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """The trainings of one version.

    Attributes:
        data: the project, or a view of it with another corpus: where negatives come from.
        given: what to train on, before negatives are mined.
    """

    workspace: Workspace
    data: Workspace
    settings: TrainSettings
    given: TrainingData

    def first(self) -> MinedData:
        """The data of the first round; without sources of negatives as it is."""
        if not self.settings.negatives.sources:
            return MinedData(self.given)
        from reindex.training.ranks import from_leader

        means = (self.workspace, self.data, self.settings, self.given)
        return from_leader(lambda: mined_data(*means))

    def run(
        self, first: MinedData, held: HeldOut, folder: Path, *, base: str,
        progress: Progress = no_progress,
    ) -> TrainResult:  # fmt: skip
        """Train all rounds; those that an earlier call finished are taken as they are.

        Raises:
            DataError, ModelError, MissingExtra, KeyboardInterrupt: as `fine_tune`.
        """
        from reindex.training.finetune import fine_tune
        from reindex.training.ranks import from_leader

        results: list[TrainResult] = []
        minings, about = [first], dataclasses.replace(held, original=base)
        for number in range(_rounds(self.settings)):
            if results:
                last = results[-1]
                minings.append(from_leader(partial(self._again, last, progress)))
            place = folder / f"round-{number + 1}" if number else folder
            start = str(results[-1].checkpoint) if results else base
            objectives = objectives_of(self.workspace, self.settings, minings[-1].given, progress)
            asked = asked_in(self.workspace, self.settings, number)
            results.append(
                fine_tune(asked, objectives, about, place, base=start, progress=progress)
            )
        return _joined(results, minings) if self.settings.negatives.sources else results[0]

    def _again(self, last: TrainResult, progress: Progress) -> MinedData:
        """Mine with the model of the last round, within the run that trains."""
        workspace, settings = self.workspace, self.settings
        with means_of(workspace, settings, _encoder(workspace, settings, last)) as named:
            return mine_sets(workspace, self.data, settings, self.given, named, progress)


def asked_in(workspace: Workspace, settings: TrainSettings, number: int) -> TrainSettings:
    """The settings as `fine_tune` takes them in a round, counted from 0.

    Vectors are turned in the end alone: a model between has the base's parts, to be averaged with
    it.
    """
    turned = settings.rotate and number == _rounds(settings) - 1
    return with_guide(workspace, settings).model_copy(update={"rotate": turned})


def _rounds(settings: TrainSettings) -> int:
    return settings.negatives.rounds if settings.negatives.sources else 1


def drop_rounds(folder: Path, keep: Path) -> None:
    """Remove what the rounds before the last left behind; ``keep`` is the version's checkpoint."""
    for place in (folder, *folder.glob("round-*")):
        shutil.rmtree(place / "artifact", ignore_errors=True)
        if place / "model" != keep:
            shutil.rmtree(place / "model", ignore_errors=True)


def _encoder(workspace: Workspace, settings: TrainSettings, result: TrainResult) -> Encoder:
    """The tuned model: its int8 graph, where it can be exported, else torch."""
    prompts = tuple(result.lineage["prompts"])
    if workspace.settings.embed.device == "cpu":
        try:
            folder = _exported(workspace, settings, result)
            return OnnxEncoder(folder, threads=workspace.settings.embed.threads, tune=True)
        except (MissingExtra, ParityError, ArtifactError, ModelError) as error:
            logger.warning("The round's model is mined with in torch: %s", error)
    from reindex.training.embedding import ModelEncoder

    return ModelEncoder(str(result.checkpoint), max_length=result.max_length, prompts=prompts)


def _exported(workspace: Workspace, settings: TrainSettings, result: TrainResult) -> Path:
    from reindex.export import export_checkpoint

    target = result.checkpoint.parent / "artifact"
    if (target / "manifest.json").is_file():
        return target
    shutil.rmtree(target, ignore_errors=True)
    query, document = result.lineage["prompts"]
    export_checkpoint(
        result.checkpoint, target, base=settings.base, matryoshka_dims=None,
        query_prompt=query, document_prompt=document,
        max_length=result.max_length, settings=workspace.settings.export,
    )  # fmt: skip
    return target


def _joined(results: Sequence[TrainResult], minings: Sequence[MinedData]) -> TrainResult:
    """One result: the last model, what led to it, and the metrics of the base before it all."""
    first, last = results[0], results[-1]
    queries = {query for result in results for query in result.lineage["query_hashes"]}
    made = next((result for result in reversed(results) if not result.best_is_base), first)
    told = [_told(result, mined) for result, mined in zip(results, minings, strict=True)]
    history = [
        {**entry, "round": float(number)} if len(results) > 1 else entry
        for number, result in enumerate(results, start=1)
        for entry in result.history
    ]
    return dataclasses.replace(
        last,
        metrics_before=first.metrics_before,
        averaging=made.averaging,
        steps=sum(result.steps for result in results),
        seconds=round(sum(result.seconds for result in results), 3),
        history=tuple(history),
        best_is_base=all(result.best_is_base for result in results),
        lineage={**first.lineage, "query_hashes": sorted(queries), "rounds": told},
    )


def _told(result: TrainResult, mined: MinedData) -> dict[str, Any]:
    """A round, for the lineage."""
    reports = [to_plain(report) for report in mined.reports]
    return {
        "base_sha256": result.lineage["base_sha256"],
        "data_sha256": result.lineage["data_sha256"],
        "metrics": dict(result.metrics_after),
        "steps": result.steps,
        "seconds": result.seconds,
        "mined": [
            {key: value for key, value in report.items() if key not in _SHOWN} for report in reports
        ],
    }
