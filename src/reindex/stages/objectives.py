"""What a training lowers and is measured by: objectives, a teacher's scores, general sets."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from reindex.config import TrainSettings
from reindex.config.training_data import DataSettings
from reindex.corpus.docstrings import STDLIB, installed_roots, read_docstrings
from reindex.corpus.training_sets import TrainingSet, texts_of
from reindex.datasets.reading import read_data
from reindex.errors import ConfigError, DataError
from reindex.losses import choose_loss
from reindex.protocols import Progress, no_progress
from reindex.records import TrainingExample, query_hash
from reindex.stages.bases import base_spec
from reindex.stages.reading import documents_of
from reindex.stages.training_data import TrainingData
from reindex.workspace import Workspace

if TYPE_CHECKING:
    from reindex.training.devset import DevSet
    from reindex.training.measures import HeldOut
    from reindex.training.objectives import Objective

DOCSTRINGS = "docstrings"
"""The general set that every machine has: the Python standard library's documentation."""

_MEASURED = ("scored", "nli", "labelled", "classes")
"""Kinds of rows that measure an objective; pairs are measured by judged queries."""

_MOST_MEASURED = 500
_MOST_GENERAL = 2000
"""Rows of a general set: classes are measured by every text against every other."""

_LEAST_ROWS = 50
"""Fewer rows are all trained on: a tenth of them measures nothing."""


def objectives_of(
    workspace: Workspace,
    settings: TrainSettings,
    given: TrainingData,
    progress: Progress = no_progress,
) -> list[Objective]:
    """What is to be lowered on each set, as its table says, with what a teacher says of it.

    Raises:
        DataError: a loss does not take its data.
        ModelError: the teacher cannot be had.
    """
    from reindex.training.objectives import Objective

    made = []
    for data, table in zip(given.sets, given.tables, strict=True):
        kept, measured = hold_out(data, settings.hold_out)
        made.append(Objective(kept, table.loss or settings.loss, table.weight, measured))
    return made if settings.teacher is None else _taught(workspace, settings, made, progress)


def hold_out(data: TrainingSet, share: float) -> tuple[TrainingSet, TrainingSet | None]:
    """Rows to train on, and rows that measure; those of the same first text stay together.

    Which ones is told by the text's hash, so that it depends on no seed and no order: of the share
    with the lowest hashes those that come first, at most `_MOST_MEASURED` rows. A text with too
    many rows to fit is passed over.
    """
    if data.kind not in _MEASURED or len(data.rows) < _LEAST_ROWS or share == 0:
        return data, None
    together: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(data.rows):
        together[query_hash(texts_of(row)[0])].append(place)
    held: set[int] = set()
    for key in sorted(together):
        if int(key[:8], 16) >= share * 2**32:
            break
        if len(held) + len(together[key]) <= _MOST_MEASURED:
            held.update(together[key])
    if not held or len(held) == len(data.rows):
        return data, None
    kept = data.only(place for place in range(len(data.rows)) if place not in held)
    return kept, data.only(sorted(held))


def _taught(
    workspace: Workspace,
    settings: TrainSettings,
    objectives: Sequence[Objective],
    progress: Progress,
) -> list[Objective]:
    from reindex.training.ranks import from_leader
    from reindex.training.teacher import load_teacher, teach

    pupils = [item for item in objectives if _learns(item)]
    if not pupils:
        return list(objectives)
    cache = workspace.settings.home / "teacher-scores.db"

    def ask() -> tuple[str, list[list[TrainingExample]]]:
        teacher = load_teacher(base_spec(workspace, settings.teacher or ""))
        return teacher.digest, [
            teach(
                teacher,
                [row for row in item.data.rows if isinstance(row, TrainingExample)],
                cache,
                progress=progress,
            )
            for item in pupils
        ]

    digest, taught = from_leader(ask)
    told = dict(zip(map(id, pupils), taught, strict=True))
    return [
        replace(item, data=replace(item.data, rows=tuple(told[id(item)])), teacher=digest)
        if id(item) in told
        else item
        for item in objectives
    ]


def _learns(item: Objective) -> bool:
    return choose_loss(item.data.kind, item.loss, scored=True, name=item.data.name).loss.teacher


def general_sets(workspace: Workspace, settings: TrainSettings) -> dict[str, DevSet | TrainingSet]:
    """What measures forgetting, by name: judged folders, files of pairs, the docstrings here.

    Raises:
        ConfigError: there is no such file or folder.
        DataError: it cannot be read, or measures nothing.
    """
    found: dict[str, DevSet | TrainingSet] = {}
    for name in settings.averaging.general:
        place = workspace.settings.resolve(Path(name))
        if name == DOCSTRINGS:
            found[name] = _docstrings(settings)
        elif place.is_dir():
            found[name] = _judged(workspace, place, settings)
        elif place.is_file():
            found[name] = _rows(place, settings.seed)
        else:
            raise ConfigError(
                f"train.averaging.general: there is no {place}. Expected a BEIR folder with "
                f"qrels/test.tsv, a file of scored pairs, or {DOCSTRINGS}."
            )
    return found


def _rows(place: Path, seed: int) -> TrainingSet:
    """A file's rows; of many a sample, the same for the same seed."""
    data = read_data(DataSettings(path=place)).data
    if data.kind not in (*_MEASURED, "triplets"):
        raise DataError(
            f"{place} holds {data.kind}, which have nothing to be told from. A general set is a "
            "BEIR folder, or a file of scored or labelled pairs, of classes, or of triplets."
        )
    if len(data.rows) <= _MOST_GENERAL:
        return data
    places = range(len(data.rows))
    return data.only(sorted(random.Random(seed).sample(places, _MOST_GENERAL)))  # noqa: S311


def _judged(workspace: Workspace, folder: Path, settings: TrainSettings) -> DevSet:
    from reindex.training.devset import make_dev_set

    other = workspace.with_corpus(folder)
    judgements = other.judgements("test") or other.judgements("dev")
    if judgements is None:
        raise DataError(f"{folder} has no qrels/test.tsv (or dev.tsv) beside its queries.jsonl.")
    with documents_of(other) as source:
        return make_dev_set(
            judgements,
            source,
            max_queries=settings.dev_queries,
            max_documents=settings.dev_documents,
            seed=settings.seed,
        )


def _docstrings(settings: TrainSettings) -> DevSet:
    """First sentences as queries, and the docstrings without them as documents."""
    from reindex.training.devset import DevSet

    root = next(root for root in installed_roots() if root.package == STDLIB)
    every = sorted(read_docstrings(root), key=lambda item: item.name)
    draw = random.Random(settings.seed)  # noqa: S311
    drawn = draw.sample(every, min(len(every), settings.dev_documents))
    asked = list(islice(drawn, settings.dev_queries))
    return DevSet(
        {item.name: item.sentence for item in asked},
        {item.name: f"{item.name}\n{item.body}" for item in drawn},
        {item.name: frozenset([item.name]) for item in asked},
    )


def held_out_of(workspace: Workspace, settings: TrainSettings, dev: DevSet | None) -> HeldOut:
    """The dev set, with the general sets that are asked for."""
    from reindex.training.measures import HeldOut

    return HeldOut(dev, general_sets(workspace, settings))
