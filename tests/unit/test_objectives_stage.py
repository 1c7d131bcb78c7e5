"""Which rows measure an objective, and which teach."""

from __future__ import annotations

from pathlib import Path

import pytest

from reindex.config import TrainSettings
from reindex.corpus.training_sets import TrainingSet
from reindex.errors import ConfigError
from reindex.records import LabelledPair, ScoredPair
from reindex.stages.objectives import general_sets, hold_out
from reindex.workspace import Workspace


def test_a_part_measures_and_rows_of_one_text_stay_together() -> None:
    rows = [LabelledPair(f"premise {row // 3}", f"{row}", "neutral") for row in range(600)]
    kept, measured = hold_out(TrainingSet("nli", rows), 0.1)
    assert measured is not None
    assert len(kept.rows) + len(measured.rows) == 600
    assert 30 <= len(measured.rows) <= 100
    first = [{row.first for row in data.rows if isinstance(row, LabelledPair)}
             for data in (kept, measured)]  # fmt: skip
    assert not first[0] & first[1]
    again = hold_out(TrainingSet("nli", rows[::-1]), 0.1)[1]
    assert again is not None
    assert {*again.rows} == {*measured.rows}  # whatever the order


def test_few_rows_and_pairs_are_all_trained_on() -> None:
    few = TrainingSet("scored", [ScoredPair(f"{row}", "b", 0.5) for row in range(49)])
    assert hold_out(few, 0.1) == (few, None)
    many = TrainingSet("scored", [ScoredPair(f"{row}", "b", 0.5) for row in range(490)])
    assert hold_out(many, 0.0) == (many, None)


def test_a_general_set_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "reindex.toml").write_text('[project]\nname = "p"\n', "utf-8")
    asked = TrainSettings.model_validate({"averaging": {"general": ["nowhere.csv"]}})
    with (
        Workspace.open(tmp_path) as workspace,
        pytest.raises(ConfigError, match=r"nowhere\.csv.*docstrings"),
    ):
        general_sets(workspace, asked)
