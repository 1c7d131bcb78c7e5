"""Rows with unequal numbers of negatives: which of them go together."""

from __future__ import annotations

from collections import Counter

import pytest

from reindex.corpus.training_sets import Row, RowKind, TrainingSet
from reindex.errors import DataError
from reindex.records import LabelledPair, LabelledText, TrainingExample
from reindex.training.objectives import Objective, as_objectives, lay_out, make_batches
from reindex.training.uneven import groups_of


def rows(*counts: int, scores: bool = False) -> list[TrainingExample]:
    """A row for each count, with that many negatives."""
    return [
        TrainingExample(
            f"query {place}", f"answer {place}",
            tuple(f"other {place} {number}" for number in range(count)),
            tuple(float(rank) for rank in range(1 + count)) if scores else (),
        )
        for place, count in enumerate(counts)
    ]  # fmt: skip


def test_rows_with_as_many_are_one_group_as_they_are() -> None:
    given = rows(2, 2, 2)
    [group] = groups_of(given, 64)
    assert group.rows == tuple(given)
    assert (group.negatives, group.cut, group.left_out) == (2, 0, 0)


def test_each_number_is_a_group_in_the_order_of_the_rows() -> None:
    given = rows(*[1, 3] * 20)
    three, one = groups_of(given, 64)
    assert three.rows == tuple(given[1::2])
    assert one.rows == tuple(given[::2])
    assert three.told == "batches of rows with 3 negatives"


def test_a_number_of_few_rows_is_cut_to_the_next_lower_with_its_scores() -> None:
    given = rows(*[2] * 30, 5, 4, scores=True)
    [group] = groups_of(given, 64)
    assert [len(row.negatives) for row in group.rows] == [2] * 32
    assert list(group.rows[30].negatives) == ["other 30 0", "other 30 1"]
    assert list(group.rows[30].scores) == [0, 1, 2]
    assert group.told == "batches of rows with 2 negatives, 2 rows had more and were cut"


def test_few_rows_with_the_lowest_number_are_left_out_and_many_are_not() -> None:
    [group] = groups_of(rows(*[2] * 60, 1, 0), 64)
    assert (len(group.rows), group.left_out) == (60, 2)
    assert "2 rows had fewer" in group.told
    kept = groups_of(rows(*[2] * 20, *[0] * 10), 64)  # a third of all rows is no leftover
    assert [len(group.rows) for group in kept] == [20, 10]


def test_several_processes_need_a_batch_each() -> None:
    given = rows(*[3] * 200, *[2] * 100, *[1] * 300)
    assert [group.negatives for group in groups_of(given, 64)] == [3, 2, 1]
    assert [len(group.rows) for group in groups_of(given, 64, 2)] == [200, 400]


def test_a_loss_that_needs_negatives_takes_no_row_without_any() -> None:
    [group] = groups_of(rows(*[1] * 20, *[0] * 20), 64, required=True)
    assert (len(group.rows), group.left_out) == (20, 20)


def test_every_row_is_in_one_batch_of_rows_with_as_many_negatives() -> None:
    given = rows(*[0] * 40, *[1] * 70, *[4] * 50)
    tasks = lay_out(as_objectives(given, None), temperature=0.05, batch_size=16)
    assert [task.negatives for task in tasks] == [4, 1, 0]
    assert len({task.name for task in tasks}) == 3
    texts = [text for task in tasks for text in task.columns["anchor"]]
    counts = {row.anchor: len(row.negatives) for row in given}
    seen: Counter[str] = Counter()
    for batch in make_batches(tasks, 16, 3, 1):
        assert len({counts[texts[row]] for row in batch}) == 1
        seen.update(texts[row] for row in batch)
    assert seen == Counter(row.anchor for row in given)


def test_of_rows_that_a_triplet_loss_leaves_out_people_are_told() -> None:
    [task] = lay_out(as_objectives(rows(2, 1, 0, 0, 0), "triplet"), temperature=0.05)
    assert task.columns["anchor"] == ["query 0", "query 0", "query 1"]
    assert task.choice.reason.endswith("; 3 rows had no negative and were left out")
    [whole] = lay_out(as_objectives(rows(2, 1), "triplet"), temperature=0.05)
    assert "left out" not in whole.choice.reason


class Label(str):
    """Counts how often labels are compared."""

    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Label.compared += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize("kind", ["classes", "labelled"])
def test_a_label_is_not_looked_up_among_all_of_them(kind: RowKind) -> None:
    names = [Label(f"{place % 300:03}") for place in range(900)]
    made: dict[str, list[Row]] = {
        "classes": [LabelledText(f"text {place}", name) for place, name in enumerate(names)],
        "labelled": [LabelledPair(f"a {place}", "b", name) for place, name in enumerate(names)],
    }
    Label.compared = 0
    [task] = lay_out([Objective(TrainingSet(kind, made[kind]))], temperature=0.05)
    assert task.columns["label"] == [*range(300)] * 3
    assert Label.compared < 10 * len(names)


def test_a_curriculum_still_wants_as_many_in_every_row() -> None:
    with pytest.raises(DataError, match="for each of 2 phases"):
        lay_out(as_objectives(rows(2, 2, 1), None), temperature=0.05, phases=2)
