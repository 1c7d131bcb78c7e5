"""Which loss takes which data, and how rows become what it compares."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import pytest

from reindex.corpus.training_sets import TrainingSet
from reindex.errors import DataError
from reindex.losses import DEFAULTS, LOSSES, choose_loss, fitting
from reindex.records import LabelledPair, TrainingExample
from reindex.training.batching import NoDuplicateBatches
from reindex.training.objectives import (
    Objective,
    as_objectives,
    lay_out,
    make_batches,
    nli_examples,
    teacher_scores,
)
from reindex.training.sampling import ClassBatches, InterleavedBatches
from tests.objective_fixtures import KINDS, rows_of, triplets
from tests.training_fixtures import pairs


def test_every_kind_of_data_has_a_loss_and_every_loss_takes_known_kinds() -> None:
    assert set(DEFAULTS) == set(KINDS)
    for kind in KINDS:
        assert DEFAULTS[kind][0] in fitting(kind)
    for loss in LOSSES.values():
        assert set(loss.kinds) <= set(KINDS), loss.name


def test_a_loss_that_does_not_take_the_data_is_refused_with_those_that_do() -> None:
    with pytest.raises(DataError, match=r"sts\.csv.*Losses that do: cosent, angle") as caught:
        choose_loss("scored", "mnrl", name="sts.csv")
    assert "pairs or triplets or nli" in str(caught.value)


def test_distillation_without_scores_is_refused_and_says_where_they_come_from() -> None:
    with pytest.raises(DataError, match=r"without a teacher's scores or train\.teacher"):
        choose_loss("triplets", "kl")
    assert choose_loss("triplets", "kl", scored=True).loss.name == "kl"
    with pytest.raises(DataError, match="pairs"):
        choose_loss("pairs", "margin-mse", scored=True)


def test_an_unset_loss_is_chosen_with_its_reason() -> None:
    choice = choose_loss("scored", None)
    assert choice.loss.name == "cosent"
    assert choice.reason.startswith("unset, and the data is scored")
    assert choose_loss("triplets", None, scored=True).loss.name == "kl"
    assert choose_loss("pairs", "symmetric").reason == "named"


def test_plain_examples_and_objectives_do_not_mix() -> None:
    with pytest.raises(DataError, match="got both"):
        as_objectives([*pairs(), Objective(rows_of("pairs"))], None)  # type: ignore[arg-type]


def test_objectives_that_name_no_loss_get_the_settings() -> None:
    given = [Objective(rows_of("pairs")), Objective(rows_of("triplets"), "triplet")]
    assert [item.loss for item in as_objectives(given, "gist")] == ["gist", "triplet"]


# -- rows


def test_triplet_rows_are_one_for_each_negative() -> None:
    [task] = lay_out([Objective(rows_of("triplets"), "triplet")], temperature=0.05)
    assert list(task.columns) == ["anchor", "positive", "negative_1"]
    assert len(task.columns["anchor"]) == 2 * len(pairs())


@pytest.mark.parametrize(
    ("loss", "given", "wanted"),
    [
        ("kl", (0.9, 0.1), [18.0, 2.0]),  # similarities, divided by the temperature
        ("kl", (8.0, -2.0), [8.0, -2.0]),
        ("margin-mse", (0.9, 0.1), [0.9, 0.1]),
        ("margin-mse", (8.0, -2.0), [0.4, -0.1]),
    ],
)
def test_a_teachers_scores_come_in_the_unit_that_the_loss_compares(
    loss: str, given: tuple[float, ...], wanted: list[float]
) -> None:
    [row] = teacher_scores([TrainingExample("q", "d", ("n",), given)], loss, 0.05)
    assert row == pytest.approx(wanted)


def test_a_score_that_is_missing_is_told_with_its_query() -> None:
    rows = [TrainingExample("which one", "d", ("n", "m"), (1.0, 0.5))]
    with pytest.raises(DataError, match=r"\(3\), got 2 for 'which one'"):
        teacher_scores(rows, "kl", 0.05)


def test_entailed_texts_become_positives_and_contradicted_ones_negatives() -> None:
    rows = [LabelledPair("a", "b", "entailment"), LabelledPair("a", "c", "contradiction"),
            LabelledPair("a", "d", "neutral"), LabelledPair("e", "f", "entailment")]  # fmt: skip
    assert nli_examples(rows) == [TrainingExample("a", "b", ("c",))]
    few = [LabelledPair("g", "h", "entailment"), *rows]
    assert nli_examples(few) == [
        TrainingExample("g", "h"), TrainingExample("a", "b"), TrainingExample("e", "f"),
    ]  # fmt: skip
    with pytest.raises(DataError, match="entailment"):
        nli_examples(rows[1:3])


def test_contrastive_wants_two_labels_and_softmax_any() -> None:
    other = TrainingSet("labelled", (LabelledPair("a", "b", "x"), LabelledPair("c", "d", "y")))
    with pytest.raises(DataError, match="labels 0 and 1, got x, y"):
        lay_out([Objective(other, "contrastive")], temperature=0.05)
    [task] = lay_out([Objective(other)], temperature=0.05)
    assert (task.classes, task.columns["label"]) == (("x", "y"), [0, 1])
    alone = TrainingSet("labelled", (LabelledPair("a", "b", "x"), LabelledPair("c", "d", "x")))
    with pytest.raises(DataError, match="only 'x'"):
        lay_out([Objective(alone)], temperature=0.05)


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="got none"):
        lay_out(as_objectives([], None), temperature=0.05)


# -- batches


def test_in_batch_losses_keep_equal_texts_apart_and_others_need_not() -> None:
    for loss, apart in (("mnrl", True), ("kl", False)):
        tasks = lay_out([Objective(rows_of("triplets"), loss)], temperature=0.05)
        rows = triplets(2)
        clash = False
        for batch in make_batches(tasks, 16, 3, 1):
            texts = Counter(
                text
                for row in batch
                for text in {rows[row].anchor, rows[row].positive, *rows[row].negatives}
            )
            clash = clash or max(texts.values()) > 1
        assert clash is not apart


def test_a_batch_of_classes_has_several_texts_of_several_classes() -> None:
    labels = [str(row % 7) for row in range(70)] + ["alone"]
    batches = ClassBatches(labels, 16, 3)
    taken = []
    for batch in batches:
        counts = Counter(labels[row] for row in batch)
        assert len(counts) > 1
        assert all(count > 1 for label, count in counts.items() if label != "alone")
        assert len(batch) <= 16
        taken += batch
    assert len(taken) == len(set(taken))
    batches.set_epoch(1)
    assert [*batches] != [*ClassBatches(labels, 16, 3)]
    with pytest.raises(DataError, match="two classes"):
        ClassBatches(["a"] * 30, 16, 3)


@pytest.mark.parametrize("texts", range(2, 22))
def test_every_text_of_a_class_is_in_one_batch(texts: int) -> None:
    labels = ["a"] * texts + ["b"] * texts
    batches = ClassBatches(labels, 64, 3)
    assert Counter(row for batch in batches for row in batch) == Counter(range(2 * texts))


def sampler(rows: int, size: int) -> NoDuplicateBatches:
    return NoDuplicateBatches([frozenset()] * rows, size, 3)


def test_weights_say_how_often_a_set_is_gone_through() -> None:
    mixed = InterleavedBatches(
        [(sampler(40, 4), 1.0), (sampler(80, 4), 0.5), (sampler(8, 4), 3.0)], [40, 80, 8], 3
    )
    assert (mixed.counts, len(mixed)) == ([10, 10, 6], 26)
    batches = list(mixed)
    assert len(batches) == 26
    rows = Counter(row for batch in batches for row in batch)
    assert all(rows[row] == 1 for row in range(40))  # once
    assert sum(rows[row] for row in range(40, 120)) == 40  # half
    assert all(rows[row] == 3 for row in range(120, 128))  # thrice
    for batch in batches:  # of one set each
        assert len({(row >= 40) + (row >= 120) for row in batch}) == 1


def test_what_an_epoch_leaves_the_next_one_takes_up() -> None:
    mixed = InterleavedBatches([(sampler(16, 4), 1.0), (sampler(40, 4), 0.3)], [16, 40], 3)
    seen: list[int] = []
    for epoch in range(4):
        mixed.set_epoch(epoch)
        seen += [row for batch in mixed for row in batch if row >= 16]
    assert len(seen) == 4 * 12
    assert set(seen[:40]) == set(range(16, 56))  # all of it, before any comes again


def test_mixed_batches_depend_on_seed_and_epoch_alone() -> None:
    def made(seed: int, epoch: int) -> list[list[int]]:
        mixed = InterleavedBatches([(sampler(40, 4), 1.0), (sampler(40, 4), 1.0)], [40, 40], seed)
        for before in range(epoch + 1):
            mixed.set_epoch(before)
        return list(mixed)

    jumped = InterleavedBatches([(sampler(40, 4), 1.0), (sampler(40, 4), 1.0)], [40, 40], 1)
    jumped.set_epoch(2)  # as a resumed training does
    assert list(jumped) == made(1, 2)
    assert all(one != other for one, other in combinations((made(1, 0), made(1, 1), made(2, 0)), 2))


def test_processes_take_turns_within_a_set() -> None:
    mixed = InterleavedBatches(
        [(sampler(40, 4), 1.0), (sampler(24, 4), 1.0)], [40, 24], 3, processes=2
    )
    batches = list(mixed)
    assert len(batches) == len(mixed) == 16
    for one, other in zip(batches[::2], batches[1::2], strict=True):
        assert (one[0] < 40) == (other[0] < 40)
        assert not {*one} & {*other}


def test_the_softmax_of_the_teacher_is_the_same_in_both_units() -> None:
    similar = teacher_scores([TrainingExample("q", "d", ("n",), (0.6, 0.2))], "kl", 0.05)
    logits = teacher_scores([TrainingExample("q", "d", ("n",), (12.0, 4.0))], "kl", 0.05)
    for one, other in zip(similar[0], logits[0], strict=True):
        assert math.isclose(one, other)
