"""What a training forgets, by general sets of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reindex.config.training_losses import AveragingSettings
from reindex.corpus.training_sets import RowKind, TrainingSet
from reindex.records import LabelledPair, ScoredPair, TrainingExample
from tests.objective_fixtures import rows_of
from tests.training_fixtures import pairs, settings, tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")

from reindex.training.averaging import Averaged, average
from reindex.training.base import load_base
from reindex.training.finetune import fine_tune
from reindex.training.measures import HeldOut, Measures
from reindex.training.session import general_measures

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def tuned(
    tiny_base: str,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The base, having learnt that pairs belong together."""
    folder = tmp_path_factory.mktemp("tuned")
    result = fine_tune(settings(epochs=4), pairs(), HeldOut(), folder, base=tiny_base)
    return str(result.checkpoint)


def averaged(tuned: str, base: str, general: TrainingSet) -> Averaged:
    """With nothing of the base, and no fall allowed."""
    return average(
        load_base(tuned, max_length=None), load_base(base, max_length=None),
        AveragingSettings(max_drop=0.0), dev=Measures(()),
        general=general_measures({"set": general}, "cpu"),
    )  # fmt: skip


OPPOSITE: dict[RowKind, Callable[[Any], Any]] = {
    "scored": lambda row: ScoredPair(row.first, row.second, 1 - row.score),
    "labelled": lambda row: LabelledPair(row.first, row.second, "10"[int(row.label)]),
    "nli": lambda row: LabelledPair(
        row.first, row.second, {"entailment": "contradiction"}.get(row.label, "entailment")
    ),
    "triplets": lambda row: TrainingExample(row.anchor, row.negatives[0], (row.positive,)),
}
"""Kind of data -> a row that says the opposite."""


@pytest.mark.parametrize("kind", OPPOSITE)
def test_what_is_unlearnt_is_not_kept_whatever_measures_it(
    kind: RowKind,
    tuned: str,
    tiny_base: str,  # noqa: F811
) -> None:
    same = rows_of(kind)
    learnt = averaged(tuned, tiny_base, same)
    [(name, before)] = learnt.before.items()
    assert learnt.chosen.general[name] > before
    assert learnt.kept
    opposite = replace(same, rows=tuple(OPPOSITE[kind](row) for row in same.rows))
    unlearnt = averaged(tuned, tiny_base, opposite)
    assert unlearnt.chosen.general[name] < unlearnt.before[name]
    assert not unlearnt.kept
