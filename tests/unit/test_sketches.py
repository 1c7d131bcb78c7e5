"""Near-duplicates among texts of which only sketches are kept."""

from __future__ import annotations

import random

import pytest

from reindex.evaluation.sketches import SIZE, Sketches, similarity, sketch

WORDS = [f"word{number}" for number in range(5000)]


def text_of(seed: int, length: int) -> list[str]:
    return random.Random(seed).sample(WORDS, length)


@pytest.mark.parametrize("length", [3, 12, 40, 150, 600])
def test_a_text_with_one_word_in_fifty_changed_is_found_among_thousands(length: int) -> None:
    others = [" ".join(text_of(seed, length)) for seed in range(1, 1000)]
    original = text_of(5000, length)
    planted = [*original[: length - length // 50], *["another"] * (length // 50)]
    random.Random(3).shuffle(planted)
    kept = Sketches.of([*others, " ".join(planted).upper()])
    stranger = " ".join(text_of(7000, length))
    found = kept.nearest([" ".join(original), stranger])
    assert found[0] >= 0.9
    assert found[1] == 0


def test_what_differs_by_the_word_that_counts_is_no_duplicate() -> None:
    kept = Sketches.of(["What are the symptoms of Leigh syndrome?"])
    assert kept.nearest(["What are the symptoms of Leiner syndrome?"]) == [0.0]
    assert kept.nearest(["what are the symptoms of  LEIGH syndrome"]) == [1.0]


def test_a_short_text_is_compared_exactly_and_a_long_one_nearly() -> None:
    first, second = text_of(1, 20), text_of(2, 20)
    short = sketch(" ".join(first)), sketch(" ".join([*first[:15], *second[:5]]))
    both = len({*first} & {*first[:15], *second[:5]})
    assert similarity(*short) == pytest.approx(both / (40 - both))
    long = text_of(3, 1000)
    changed = [*long[:800], *[f"new{number}" for number in range(200)]]
    estimated = similarity(sketch(" ".join(long)), sketch(" ".join(changed)))
    assert estimated == pytest.approx(800 / 1200, abs=0.15)
    assert len(sketch(" ".join(long))) == SIZE


def test_sketches_are_kept_and_read() -> None:
    kept = Sketches.of(["one two three", "four five", "THREE two one"])
    assert len(kept) == 2
    again = Sketches.from_bytes(kept.to_bytes())
    assert again.nearest(["five four", "six"]) == [1.0, 0.0]
    assert Sketches.of([]).nearest(["anything"]) == [0.0]


@pytest.mark.parametrize("length", [9, 20, 40, 56])
def test_no_near_duplicate_of_a_short_text_is_missed(length: int) -> None:
    dice = random.Random(length)
    pool = WORDS[: length + 8]  # so that many texts are nearly the same
    texts = [" ".join(dice.sample(pool, dice.randint(length, length + 7))) for _ in range(150)]
    kept = Sketches.of(texts)
    for wanted in (dice.sample(pool, length) for _ in range(60)):
        words = {*wanted}
        exact = [len(words & {*text.split()}) / len(words | {*text.split()}) for text in texts]
        expected = max((value for value in exact if value >= 0.9), default=0.0)
        assert kept.nearest([" ".join(wanted)]) == [pytest.approx(expected)]
