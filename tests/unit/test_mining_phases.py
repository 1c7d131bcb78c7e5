"""A curriculum: negatives from easy to hard, and batches that go through them."""

from __future__ import annotations

import pytest

from reindex.errors import DataError
from reindex.mining.phases import arranged
from reindex.mining.results import FILL, GIVEN, Pick
from reindex.records import TrainingExample
from reindex.training import data
from reindex.training.batching import NoDuplicateBatches
from reindex.training.phases import PhasedBatches, in_phases


def picks(*scores: float | None) -> list[Pick]:
    return [Pick(at, "dense", at + 1, score) for at, score in enumerate(scores)]


def numbers(found: list[Pick]) -> list[int]:
    return [pick.number for pick in found]


def test_one_phase_keeps_the_order() -> None:
    assert numbers(arranged(picks(0.1, 0.9, 0.5), 2, 1)) == [0, 1]


def test_phases_go_from_the_easiest_to_the_hardest_by_score() -> None:
    found = arranged(picks(0.5, 0.9, 0.1, 0.8, 0.3, 0.2, 0.7), 1, 3)
    assert [pick.score for pick in found] == [0.1, 0.5, 0.9]
    pairs = arranged(picks(0.5, 0.9, 0.1, 0.8, 0.3, 0.2, 0.7), 2, 3)
    assert len(set(numbers(pairs))) == 6
    assert [pick.score for pick in pairs[-2:]] == [0.9, 0.8]
    assert [pick.score for pick in pairs[:2]] == [0.2, 0.1]


def test_without_scores_ranks_decide_and_random_documents_are_the_easiest() -> None:
    filled = [Pick(7, FILL, 0), *picks(None, None), Pick(8, GIVEN, 1)]
    assert numbers(arranged(filled, 1, 4)) == [7, 1, 0, 8]


def rows(count: int, phases: int) -> list[TrainingExample]:
    return [
        TrainingExample(f"q{at}", f"p{at}", tuple(f"n{at}-{phase}" for phase in range(phases)))
        for at in range(count)
    ]


def test_rows_are_laid_out_phase_after_phase() -> None:
    laid = in_phases(rows(3, 4), 2)
    assert [row.anchor for row in laid] == ["q0", "q1", "q2"] * 2
    assert laid[1].negatives == ("n1-0", "n1-1")
    assert laid[4].negatives == ("n1-2", "n1-3")


def test_rows_without_negatives_for_every_phase_are_refused() -> None:
    with pytest.raises(DataError, match=r"3 phases .* got 4"):
        in_phases(rows(2, 4), 3)
    with pytest.raises(DataError, match="got 0"):
        in_phases([TrainingExample("q", "p")], 2)


@pytest.mark.parametrize("epochs", [1, 2, 6, 0.5])
def test_batches_grow_harder_and_hold_every_row_once_an_epoch(epochs: float) -> None:
    laid = data.row_keys(in_phases(rows(60, 3), 3))
    batches = PhasedBatches(laid, 6, 1, phases=3, epochs=epochs)
    phases = []
    for epoch in range(max(1, int(epochs))):
        batches.set_epoch(epoch)
        taken = [row for batch in batches for row in batch]
        assert sorted(row % 60 for row in taken) == list(range(60))
        phases += [row // 60 for row in taken]
    assert phases == sorted(phases)
    if epochs >= 1:
        shares = [phases.count(phase) / len(phases) for phase in range(3)]
        assert min(shares) >= 0.25


def test_the_same_epoch_gives_the_same_batches_again() -> None:
    laid = data.row_keys(in_phases(rows(40, 2), 2))
    first = PhasedBatches(laid, 4, 1, phases=2, epochs=3)
    first.set_epoch(1)
    expected = list(first)
    fresh = PhasedBatches(laid, 4, 1, phases=2, epochs=3)
    fresh.set_epoch(1)
    assert list(fresh) == expected
    first.set_epoch(0)
    assert list(first) != expected


# -- what may be in one batch


def batches(examples: list[TrainingExample], size: int) -> list[list[int]]:
    return list(NoDuplicateBatches(data.row_keys(examples), size, 5))


def test_another_answer_of_a_query_is_nobodys_negative_beside_it() -> None:
    examples = [
        TrainingExample("q", "one answer", ("x",)),
        TrainingExample("q", "another answer", ("y",)),
        TrainingExample("r", "something", ("One  Answer",)),
        TrainingExample("s", "another answer", ("z",)),
    ]
    for batch in batches(examples, 4):
        assert len(batch) == 1 or set(batch) <= {2, 3}


def test_rows_that_share_a_hard_negative_go_together() -> None:
    examples = [TrainingExample(f"q{at}", f"p{at}", ("a hub", f"n{at}")) for at in range(8)]
    assert [len(batch) for batch in batches(examples, 8)] == [8]
