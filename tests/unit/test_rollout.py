"""Who is assigned where, what a draft makes of two rankings, and who gets the credit."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from reindex.errors import FeedbackError
from reindex.rollout.assignment import place_of, takes_part
from reindex.rollout.feedback import checked_feedback
from reindex.rollout.interleaving import interleave, winner

KEYS = [f"user-{number}" for number in range(20_000)]


def test_keys_stand_evenly_and_elsewhere_in_another_experiment() -> None:
    places = [place_of("one", key) for key in KEYS]
    assert all(0 <= place < 1 for place in places)
    tenths = Counter(int(10 * place) for place in places)
    assert max(abs(count - 2000) for count in tenths.values()) < 200  # 4.7 sigma
    both = sum(takes_part("one", key, 0.5) and takes_part("two", key, 0.5) for key in KEYS)
    assert abs(both - 5000) < 300


def test_who_takes_part_at_one_weight_does_at_every_greater_one() -> None:
    sides = [{key for key in KEYS if takes_part("e", key, w)} for w in (0, 0.01, 0.1, 0.5, 1)]
    assert not sides[0]
    assert sides[0] <= sides[1] <= sides[2] <= sides[3] <= sides[4]
    assert len(sides[4]) == len(KEYS)


def test_an_experiment_and_a_key_do_not_run_into_each_other() -> None:
    assert place_of("canary-1", "2x") != place_of("canary-12", "x")


def test_a_key_may_be_any_text() -> None:
    assert place_of("e", "\ud800") != place_of("e", "")


def test_a_draft_takes_turns_and_never_the_same_twice() -> None:
    for seed in map(str, range(200)):
        drafted = interleave([1, 2, 3, 4], [3, 1, 5, 6], 4, seed)
        assert len(set(drafted.items)) == 4
        teams = drafted.teams
        for start in (0, 2):  # every round both choose
            assert set(teams[start : start + 2]) == {"live", "candidate"}
        assert drafted.items[0] == (1 if teams[0] == "live" else 3)
        assert drafted == interleave([1, 2, 3, 4], [3, 1, 5, 6], 4, seed)


def test_both_begin_equally_often() -> None:
    firsts = Counter(interleave([1, 2], [3, 4], 2, str(n)).teams[0] for n in range(4000))
    assert abs(firsts["live"] - 2000) < 200


def test_equal_rankings_stay_as_they_are() -> None:
    ids = list(range(10))
    assert interleave(ids, ids, 10, "x").items == tuple(ids)


@pytest.mark.parametrize(("live", "candidate"), [([], [1, 2, 3]), ([1, 2, 3], []), ([], [])])
def test_what_only_one_brought_fills_the_list_and_counts_for_nobody(
    live: list[int | str], candidate: list[int | str]
) -> None:
    drafted = interleave(live, candidate, 3, "x")
    assert drafted.items == tuple(live or candidate)
    assert drafted.teams.count("") >= len(drafted.teams) - 1


def test_a_page_and_a_deeper_one_agree() -> None:
    live, candidate = list(range(40)), list(range(39, -1, -1))
    first = interleave(live, candidate, 10, "x")
    both = interleave(live, candidate, 20, "x")
    assert both.items[:10] == first.items


def test_the_winner_of_a_list_has_more_clicks() -> None:
    assert winner(["candidate", "live", "candidate"]) == 1
    assert winner(["live", ""]) == -1
    assert winner([]) == winner(["live", "candidate"]) == winner(["", ""]) == 0


def cascade(ranking: list[int | str], good: dict[int | str, float], rng: random.Random) -> int:
    """The cascade model: from the top; a click ends the search; -1 where nothing attracts."""
    for place, item in enumerate(ranking):
        if rng.random() < good[item]:
            return place
    return -1


@pytest.mark.parametrize("document", [5, "a"])
def test_feedback_is_checked(document: int | str) -> None:
    assert checked_feedback("s", [document], [], None) == [("clicked", document, 1.0)]
    assert checked_feedback("s", [], [document], 0.0)[1] == ("grade", None, 0.0)
    with pytest.raises(FeedbackError, match="search_id"):
        checked_feedback("", [document], [], None)
    with pytest.raises(FeedbackError, match="one of"):
        checked_feedback("s", [], [], None)
    with pytest.raises(FeedbackError, match="between 0"):
        checked_feedback("s", [], [], 5)
    with pytest.raises(FeedbackError, match="lists"):
        checked_feedback("s", "d1", [], None)
