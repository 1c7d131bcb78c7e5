"""Which rows measure an objective, and which teach."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reindex.config import TrainSettings
from reindex.corpus.training_sets import Row, TrainingSet, texts_of
from reindex.errors import ConfigError
from reindex.records import LabelledPair, ScoredPair
from reindex.stages.objectives import general_sets, hold_out
from reindex.workspace import Workspace


def measured_of(rows: list[LabelledPair]) -> int:
    """How many measure; they share no premise with the others, and are the same in any order."""
    kept, measured = hold_out(TrainingSet("nli", rows), 0.1)
    again = hold_out(TrainingSet("nli", rows[::-1]), 0.1)[1]
    assert measured is not None
    assert again is not None
    assert {*again.rows} == {*measured.rows}
    assert len(kept.rows) + len(measured.rows) == len(rows)
    first = [{texts_of(row)[0] for row in data.rows} for data in (kept, measured)]
    assert not first[0] & first[1]
    return len(measured.rows)


def test_a_part_measures_and_rows_of_one_text_stay_together() -> None:
    rows = [LabelledPair(f"premise {row // 3}", f"{row}", "neutral") for row in range(600)]
    assert 30 <= measured_of(rows) <= 100


@pytest.mark.parametrize("copies", [1, 3, 600])
def test_of_many_rows_the_first_text_of_none_that_measures_is_trained_on(copies: int) -> None:
    """Premises with three rows each, and some of them with ``copies`` more."""
    rows = [LabelledPair(f"premise {row // 3}", f"{row}", "neutral") for row in range(12_000)]
    rows += [LabelledPair(f"premise {row // copies}", f"more {row}", "neutral")
             for row in range(12_000)]  # fmt: skip
    assert 490 <= measured_of(rows) <= 500


def test_few_rows_and_pairs_are_all_trained_on() -> None:
    few = TrainingSet("scored", [ScoredPair(f"{row}", "b", 0.5) for row in range(49)])
    assert hold_out(few, 0.1) == (few, None)
    many = TrainingSet("scored", [ScoredPair(f"{row}", "b", 0.5) for row in range(490)])
    assert hold_out(many, 0.0) == (many, None)


def test_of_a_large_general_set_a_sample_by_seed_measures(tmp_path: Path) -> None:
    (tmp_path / "reindex.toml").write_text('[project]\nname = "p"\n', "utf-8")
    lines = [json.dumps({"text": f"text {row}", "label": f"{row % 9}"}) for row in range(2500)]
    (tmp_path / "classes.jsonl").write_text("\n".join(lines), "utf-8")
    (tmp_path / "few.jsonl").write_text("\n".join(lines[:2000]), "utf-8")

    def rows(seed: int, name: str = "classes.jsonl") -> list[Row]:
        values = {"seed": seed, "averaging": {"general": [name]}}
        found = general_sets(workspace, TrainSettings.model_validate(values))[name]
        assert isinstance(found, TrainingSet)
        assert found.kind == "classes"
        return list(found.rows)

    with Workspace.open(tmp_path) as workspace:
        assert len({*rows(1)}) == 2000
        assert rows(1) == rows(1) != rows(2)
        assert rows(1, "few.jsonl") == rows(2, "few.jsonl")


def test_a_general_set_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "reindex.toml").write_text('[project]\nname = "p"\n', "utf-8")
    asked = TrainSettings.model_validate({"averaging": {"general": ["nowhere.csv"]}})
    with (
        Workspace.open(tmp_path) as workspace,
        pytest.raises(ConfigError, match=r"nowhere\.csv.*docstrings"),
    ):
        general_sets(workspace, asked)
