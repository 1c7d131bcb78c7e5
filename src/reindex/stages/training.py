"""Stage 1: a base model as it is, or fine-tuned on pairs, becomes a version with a checkpoint."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from reindex.config import TrainSettings
from reindex.corpus.pairs import examples_from_beir, read_examples
from reindex.errors import ConfigError, DataError
from reindex.records import TrainingExample, query_hash
from reindex.registry.ledger import Version
from reindex.registry.lineage import Lineage
from reindex.registry.result_book import ResultBook
from reindex.stages.bases import base_spec
from reindex.stages.checking_data import configured_data
from reindex.stages.leaking import near_judged, sketches_of
from reindex.stages.mining import known_positives, with_negatives
from reindex.stages.reading import documents_of
from reindex.stages.supervision import supervised, version_lock
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.training.devset import DevSet
    from reindex.training.finetune import TrainResult

_NOT_PART_OF_THE_RECIPE = {"pairs", "data"}  # paths; the content's hash is what counts


@dataclass(frozen=True, slots=True)
class Trained:
    """A version that was trained.

    ``result`` is None where a version of this very recipe and data existed already; ``held_out``
    counts the examples that were left out because their query is a judged one.
    """

    version: Version
    result: TrainResult | None
    held_out: int


class BaseRecipe(TypedDict):
    """What decides, beside its weights, where an off-the-shelf model puts a text."""

    max_length: int | None
    query_prompt: str
    document_prompt: str


def adopt_base(workspace: Workspace, base: str, given: BaseRecipe | None = None) -> Version:
    """Register an off-the-shelf model as a version, without training; as [train] says, or given."""
    from reindex.training.base import copy_base

    settings = workspace.settings.train
    how = given or BaseRecipe(
        max_length=settings.max_length,
        query_prompt=settings.query_prompt,
        document_prompt=settings.document_prompt,
    )
    recipe = {"base": base, **how}
    with supervised(workspace, "adopt", None) as job:
        folder = workspace.checkpoint_folder(f"adopting-{os.getpid()}")
        copy_base(
            base_spec(workspace, base),
            folder,
            max_length=how["max_length"],
            query_prompt=how["query_prompt"],
            document_prompt=how["document_prompt"],
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
    from reindex.training.finetune import fine_tune
    from reindex.training.ranks import from_leader, leads

    settings = settings or workspace.settings.train
    base = resolve_base(base_spec(workspace, settings.base))  # a typo must not cost a version
    data = workspace if corpus is None else workspace.with_corpus(corpus)
    examples, held_out = training_examples(workspace, data, settings)
    dev = dev_set(data, settings)
    recipe = _recipe(settings, examples)
    version = from_leader(lambda: _version_of(workspace, settings, recipe, again=again))
    if version.state != "created":
        return Trained(version, None, held_out)
    if not leads():
        folder = workspace.run_folder(version.name)
        result = fine_tune(settings, examples, dev, folder, base=base)
        return Trained(from_leader(lambda: version), result, held_out)
    locks = [version_lock(version.name)]
    with supervised(workspace, "train", version.name, locks=locks) as job:
        result = fine_tune(
            settings,
            examples,
            dev,
            workspace.run_folder(version.name),
            base=base,
            progress=job.progress,
        )
        job.details.update(seconds=result.seconds, steps=result.steps)
        pairs = str(settings.pairs or data.source.name)
        done = from_leader(lambda: _record(workspace, version, result, pairs, examples))
        return Trained(done, result, held_out)


def training_examples(
    workspace: Workspace, data: Workspace, settings: TrainSettings
) -> tuple[list[TrainingExample], int]:
    """What a training sees, with mined negatives where they are asked for, and what is held out.

    Raises:
        ConfigError: no pairs are configured, or their file is not there.
        DataError: none can be used.
    """
    from reindex.training.ranks import from_leader

    examples, held_out, positives = held_back(workspace, data, settings)
    if not settings.negatives.sources:
        return examples, held_out
    mined = from_leader(lambda: with_negatives(workspace, data, settings, examples, positives))
    return [*mined.rows], held_out


def reserve_version(
    workspace: Workspace, settings: TrainSettings, examples: Sequence[TrainingExample]
) -> Version:
    """The version that `train` will find, or begin, for this recipe and these examples."""
    return _version_of(workspace, settings, _recipe(settings, examples), again=False)


def _judged(*workspaces: Workspace) -> tuple[set[str], set[str]]:
    """Hashes and texts of the queries that no training may see."""
    hashes = set[str]().union(*map(_judged_hashes, workspaces))
    return hashes, {text for workspace in workspaces for text in _judged_texts(workspace)}


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
    pairs: str,
    examples: Sequence[TrainingExample],
) -> Version:
    registry = workspace.registry
    lineage, seen = dict(result.lineage), sketches_of(examples)
    with registry.transaction():
        for role, sketches in seen.items():
            Lineage(registry).record(version.name, role, sketches)
        registry.record_training_queries(version.name, lineage.pop("query_hashes", ()))
        registry.record_dataset(
            version.recipe["examples_sha256"], role="pairs",
            name=pairs, size=result.examples,
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
            },
        )


def held_back(
    workspace: Workspace, data: Workspace, settings: TrainSettings
) -> tuple[list[TrainingExample], int, dict[str, list[str]]]:
    """The examples to train on, how many were left out, and what answers each query at all.

    Left out are those whose query is judged, here or in ``data``.
    """
    return _examples(data, settings, *_judged(workspace, data))


def _examples(
    workspace: Workspace, settings: TrainSettings, judged: set[str], texts: set[str]
) -> tuple[list[TrainingExample], int, dict[str, list[str]]]:
    """The training examples, without those whose query is a judged one (invariant: never seen).

    ``judged`` are hashes; of those that are at hand, ``texts``, near-duplicates are left out too.
    """
    examples = _read(workspace, settings)
    near = near_judged(examples, texts)
    kept = [
        item
        for item in examples
        if query_hash(item.anchor) not in judged and item.anchor not in near
    ]
    held_out = len(examples) - len(kept)
    if not kept:
        raise DataError(
            f"There are no training examples left: {len(examples)} were read, and {held_out} of "
            "them have a judged query (dev or test), or nearly one, as their query."
        )
    if settings.max_pairs is not None and len(kept) > settings.max_pairs:
        kept = random.Random(settings.seed).sample(kept, settings.max_pairs)  # noqa: S311
    return kept, held_out, known_positives(examples)


def _read(workspace: Workspace, settings: TrainSettings) -> list[TrainingExample]:
    if tables := configured_data(settings):
        with workspace.dead_letters("pairs") as dead:
            files = [workspace.settings.resolve(item.path) for item in tables]
            return [example for file in files for example in read_examples(file, dead=dead)]
    queries, qrels = workspace.queries_file(), workspace.train_qrels()
    if queries is None or qrels is None:
        raise ConfigError(
            "There are no training pairs. Pass --pairs FILE, set train.pairs or [[train.data]] in "
            "reindex.toml, or use a BEIR source that has queries.jsonl and qrels/train.tsv."
        )
    with documents_of(workspace) as source:
        return examples_from_beir(queries, qrels, source)


def _judged_texts(workspace: Workspace) -> Iterator[str]:
    for split in ("dev", "test"):
        judged = workspace.judgements(split)
        yield from (query.text for query in judged.queries) if judged else ()


def _judged_hashes(workspace: Workspace) -> set[str]:
    judged = [workspace.judgements(split) for split in ("dev", "test")]
    known = {query_hash(query.text) for item in judged if item for query in item.queries}
    return known | ResultBook(workspace.registry).held_out()


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


def _recipe(settings: TrainSettings, examples: Sequence[TrainingExample]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for item in examples:
        row = json.dumps([item.anchor, item.positive, *item.negatives])
        digest.update(row.encode("utf-8", "surrogatepass"))
    recipe = settings.model_dump(mode="json", exclude=_NOT_PART_OF_THE_RECIPE)
    return {**recipe, "examples_sha256": digest.hexdigest()}


def _same_recipe(workspace: Workspace, recipe: dict[str, Any]) -> Version | None:
    """The latest version of this very recipe and data, finished or cut off.

    A key that a stored recipe lacks, because it is newer, is what it was then: the default.
    """
    wanted = json.loads(json.dumps(recipe))
    defaults = TrainSettings().model_dump(mode="json", exclude=_NOT_PART_OF_THE_RECIPE)
    for version in reversed(workspace.registry.versions()):
        known = {key: value for key, value in version.recipe.items() if key != "lineage"}
        known = {**{key: defaults[key] for key in defaults if key in wanted}, **known}
        if version.kind == "fine-tuned" and known == wanted:
            return version
    return None


def _relative(workspace: Workspace, path: Path) -> str:
    return str(path.resolve().relative_to(workspace.settings.home.resolve()))
