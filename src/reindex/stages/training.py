"""Stage 1: a base model as it is, or fine-tuned on pairs, becomes a version with a checkpoint."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from reindex.config import TrainSettings
from reindex.registry.ledger import Version
from reindex.registry.lineage import Lineage
from reindex.stages.bases import base_spec
from reindex.stages.leaking import sketches_of
from reindex.stages.made_pairs import origins
from reindex.stages.objectives import held_out_of
from reindex.stages.reading import documents_of
from reindex.stages.recipe_checks import check_recipe
from reindex.stages.rounds import Rounds, drop_rounds
from reindex.stages.supervision import supervised, version_lock
from reindex.stages.training_data import TrainingData, training_data
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.training.devset import DevSet
    from reindex.training.finetune import TrainResult

_NOT_PART_OF_THE_RECIPE = {"pairs", "data", "clicks"}  # paths; the content's hash is what counts


@dataclass(frozen=True, slots=True)
class Trained:
    """A version that was trained.

    ``result`` is None where a version of this very recipe and data existed already; ``held_out``
    counts the examples that were left out because their query is a judged one; ``told`` is what
    people should know of how the data was read: bad rows, labels without an agreement, ….
    """

    version: Version
    result: TrainResult | None
    held_out: int
    told: tuple[str, ...] = ()


class BaseRecipe(TypedDict):
    """What decides, beside its weights, where an off-the-shelf model puts a text."""

    max_length: int | None
    query_prompt: str
    document_prompt: str
    pooling: NotRequired[str]


def adopt_base(workspace: Workspace, base: str, given: BaseRecipe | None = None) -> Version:
    """Register an off-the-shelf model as a version, without training; as [train] says, or given.

    Prompts that [train] leaves open are those that the base declares.
    """
    from reindex.training.base import copy_base
    from reindex.training.prompts import prompts_of

    settings = workspace.settings.train
    query, document = ("", "") if given else prompts_of(settings, base_spec(workspace, base))
    how = given or BaseRecipe(
        max_length=settings.max_length, query_prompt=query, document_prompt=document
    )
    if given is None and settings.pooling is not None:
        how["pooling"] = settings.pooling
    recipe = {"base": base, **how}
    with supervised(workspace, "adopt", None) as job:
        folder = workspace.checkpoint_folder(f"adopting-{os.getpid()}")
        copy_base(
            base_spec(workspace, base),
            folder,
            max_length=how["max_length"],
            query_prompt=how["query_prompt"],
            document_prompt=how["document_prompt"],
            pooling=how.get("pooling"),
        )
        with workspace.registry.transaction():  # no version before its checkpoint is there
            name = workspace.registry.add_version(base=base, kind="base", recipe=recipe).name
            folder.replace(workspace.checkpoint_folder(name))
            job.details["version"] = name
            return workspace.registry.update_version(
                name,
                state="trained",
                checkpoint=_relative(workspace, workspace.checkpoint_folder(name)),
            )


def train(
    workspace: Workspace,
    settings: TrainSettings | None = None,
    *,
    corpus: Path | None = None,
    again: bool = False,
) -> Trained:
    """Fine-tune a new version, or go on with one of the same recipe that was interrupted.

    A finished version of the very same recipe and data is returned as it is, unless ``again``.
    ``corpus`` is a BEIR folder to take pairs and dev queries from, instead of the source. Where a
    launcher started several processes, rank 0 alone writes to the registry and the run's folder.
    """
    from reindex.training.base import resolve_base
    from reindex.training.prompts import with_prompts
    from reindex.training.ranks import from_leader, leads

    settings = settings or workspace.settings.train
    base = resolve_base(base_spec(workspace, settings.base))  # a typo must not cost a version
    settings = with_prompts(settings, base)
    data = workspace if corpus is None else workspace.with_corpus(corpus)
    given = training_data(data, settings, workspace)
    check_recipe(workspace, settings, given)
    held = held_out_of(workspace, settings, dev_set(data, settings))
    held_out, rounds = given.held_out, Rounds(workspace, data, settings, given)
    first = rounds.first()
    recipe = recipe_of(settings, first.given)
    version = from_leader(lambda: _version_of(workspace, settings, recipe, again=again))
    if version.state != "created":
        return Trained(version, None, held_out, given.told)
    if not leads():
        result = rounds.run(first, held, workspace.run_folder(version.name), base=base)
        return Trained(from_leader(lambda: version), result, held_out, given.told)
    locks = [version_lock(version.name)]
    with supervised(workspace, "train", version.name, locks=locks) as job:
        folder = workspace.run_folder(version.name)
        result = rounds.run(first, held, folder, base=base, progress=job.progress)
        job.details.update(seconds=result.seconds, steps=result.steps)
        done = from_leader(lambda: _record(workspace, version, result, given))
        drop_rounds(folder, result.checkpoint)
        return Trained(done, result, held_out, given.told)


def data_to_train_on(
    workspace: Workspace, data: Workspace, settings: TrainSettings
) -> TrainingData:
    """What a training of these settings sees, mined negatives included.

    Raises:
        ConfigError: no pairs are configured, or their file is not there.
        DataError: none can be used, or a loss does not take them.
    """
    given = training_data(data, settings, workspace)
    check_recipe(workspace, settings, given)
    return Rounds(workspace, data, settings, given).first().given


def reserve_version(workspace: Workspace, settings: TrainSettings, given: TrainingData) -> Version:
    """The version that `train` will find, or begin, for this recipe and this data."""
    return _version_of(workspace, settings, recipe_of(settings, given), again=False)


def _version_of(
    workspace: Workspace, settings: TrainSettings, recipe: dict[str, Any], *, again: bool
) -> Version:
    """One of this recipe that is finished (unless ``again``) or was cut off, else a new one."""
    known = _same_recipe(workspace, recipe)
    if known is not None and (known.state == "created" or not again):
        return known
    return workspace.registry.add_version(base=settings.base, kind="fine-tuned", recipe=recipe)


def _record(
    workspace: Workspace,
    version: Version,
    result: TrainResult,
    given: TrainingData,
) -> Version:
    registry = workspace.registry
    rows = [row for data in given.sets for row in data.rows]
    lineage, seen = {**result.lineage, **origins(workspace, given)}, sketches_of(rows)
    with registry.transaction():
        for role, sketches in seen.items():
            Lineage(registry).record(version.name, role, sketches)
        registry.record_training_queries(version.name, lineage.pop("query_hashes", ()))
        registry.record_dataset(
            version.recipe["examples_sha256"], role="pairs",
            name=", ".join(data.name for data in given.sets), size=result.examples,
        )  # fmt: skip
        return registry.update_version(
            version.name,
            state="trained",
            checkpoint=_relative(workspace, result.checkpoint),
            dim=result.dim,
            recipe={**version.recipe, "lineage": lineage},
            metrics={
                "before": dict(result.metrics_before),
                "after": dict(result.metrics_after),
                "best_is_base": result.best_is_base,
                "averaging": dict(result.averaging),
                "rotation": dict(result.rotation),
            },
        )


def dev_set(workspace: Workspace, settings: TrainSettings) -> DevSet | None:
    """What chooses the checkpoint; None without dev judgements."""
    from reindex.training.devset import make_dev_set

    judgements = workspace.judgements("dev")
    if judgements is None:
        return None
    with documents_of(workspace) as source:
        return make_dev_set(
            judgements,
            source,
            max_queries=settings.dev_queries,
            max_documents=settings.dev_documents,
            seed=settings.seed,
        )


def recipe_of(settings: TrainSettings, given: TrainingData) -> dict[str, Any]:
    """All that decides a training before it begins: settings, and the hash of the data."""
    return {**_settings(settings), "examples_sha256": given.digest}


def _settings(settings: TrainSettings) -> dict[str, Any]:
    recipe = settings.model_dump(mode="json", exclude=_NOT_PART_OF_THE_RECIPE)
    return {**recipe, "negatives": settings.negatives.deciding()}


def _same_recipe(workspace: Workspace, recipe: dict[str, Any]) -> Version | None:
    """The latest version of this very recipe and data, finished or cut off.

    A key that a stored recipe lacks, because it is newer, is what it was then: the default.
    """
    wanted = json.loads(json.dumps(recipe))
    defaults = _settings(TrainSettings())
    for version in reversed(workspace.registry.versions()):
        known = {key: value for key, value in version.recipe.items() if key != "lineage"}
        known = {**{key: defaults[key] for key in defaults if key in wanted}, **known}
        if version.kind == "fine-tuned" and known == wanted:
            return version
    return None


def _relative(workspace: Workspace, path: Path) -> str:
    return str(path.resolve().relative_to(workspace.settings.home.resolve()))
