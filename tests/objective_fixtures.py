"""The translation task of `training_fixtures` as every kind of training data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

from reindex.config import TrainSettings
from reindex.corpus.training_sets import RowKind, TrainingSet
from reindex.losses import LOSSES
from reindex.records import LabelledPair, LabelledText, ScoredPair, TrainingExample
from reindex.training.devset import DevSet
from tests.training_fixtures import dev_set, pairs, settings

KINDS: tuple[RowKind, ...] = get_args(RowKind)
FITTING = [(kind, loss.name) for kind in KINDS for loss in LOSSES.values() if kind in loss.kinds]
"""Every kind of data with every loss that takes it."""


def triplets(negatives: int = 1, *, scores: bool = False) -> list[TrainingExample]:
    """Each pair with other pairs' answers, and a teacher who knows, in logits."""
    rows = pairs()
    made = []
    for place, row in enumerate(rows):
        others = tuple(rows[place - 7 * step].positive for step in range(1, negatives + 1))
        told = (6.0, *(-3.0 - step for step in range(negatives))) if scores else ()
        made.append(TrainingExample(row.anchor, row.positive, others, told))
    return made


def rows_of(kind: RowKind, *, scores: bool = True) -> TrainingSet:
    """80 to 160 rows of a kind."""
    rows = pairs()
    against = [rows[place - 9].positive for place in range(len(rows))]
    both = list(zip(rows, against, strict=True))
    made: dict[RowKind, Any] = {
        "pairs": list(rows),
        "triplets": list(triplets(2, scores=scores)),
        "scored": [ScoredPair(row.anchor, row.positive, 0.9) for row in rows]
        + [ScoredPair(row.anchor, other, 0.1) for row, other in both],
        "nli": [LabelledPair(row.anchor, row.positive, "entailment") for row in rows]
        + [LabelledPair(row.anchor, other, "contradiction") for row, other in both],
        "labelled": [LabelledPair(row.anchor, row.positive, "1") for row in rows]
        + [LabelledPair(row.anchor, other, "0") for row, other in both],
        "classes": [LabelledText(row.anchor, row.anchor.split()[0]) for row in rows],
    }
    return TrainingSet(kind, tuple(made[kind]))


def several() -> list[Any]:
    """Retrieval with scored pairs, a softmax classifier and classes, unequally often."""
    from reindex.training.objectives import Objective

    dev = {kind: rows_of(kind) for kind in ("scored", "nli", "classes")}
    held = {kind: replace(data, rows=data.rows[::5]) for kind, data in dev.items()}
    kept = {
        kind: replace(data, rows=tuple(row for place, row in enumerate(data.rows) if place % 5))
        for kind, data in dev.items()
    }
    return [
        Objective(rows_of("pairs"), weight=2.0),
        Objective(kept["scored"], weight=0.5, dev=held["scored"]),
        Objective(kept["nli"], "softmax", weight=0.25, dev=held["nli"]),
        Objective(kept["classes"], weight=0.5, dev=held["classes"]),
    ]


RECIPES: dict[str, Callable[[], tuple[TrainSettings, Any, DevSet | None]]] = {
    "plain": lambda: (settings(), pairs(), dev_set()),
    "long": lambda: (settings(epochs=10), pairs(), dev_set()),
    "several": lambda: (settings(), several(), dev_set()),
    "both": lambda: (settings(lora={"rank": 16, "dropout": 0.1}), several(), None),
    "lora": lambda: (settings(lora={"rank": 4}, freeze_layers=1), pairs(), dev_set()),
    "2d": lambda: (settings(matryoshka="2d"), pairs(), dev_set()),
}
"""Trainings by name, for other processes."""
