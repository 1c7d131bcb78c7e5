"""What folds say, in sentences: for tables, reports and reasons."""

from __future__ import annotations

from reindex.evaluation.results_folds import Choice, Stability
from reindex.evaluation.statistics import percent


def stability_in_words(found: Stability) -> str:
    """Mean, spread and who wins, and what this is not."""
    return (
        f"The candidate is better in {found.won} of {len(found.folds)} folds, worse in "
        f"{found.lost}. The change is {percent(found.mean)} on average with a spread of "
        f"{percent(found.spread, sign=False)}; chance alone spreads folds of this size by about "
        f"{percent(found.expected, sign=False)}. The folds are parts of the same queries: they are "
        "no more evidence than the interval, which is of all of them."
    )


def choice_in_words(choice: Choice) -> str:
    """What the best of several candidates is worth on queries that did not choose it."""
    picked = ", ".join(f"{name} {count}" for name, count in sorted(choice.picks.items()))
    return (
        f"Best is {choice.best}, {percent(choice.apparent)} on the queries that it was chosen by. "
        f"Chosen on the other folds each time (folds that chose: {picked}), the best gives "
        f"{percent(choice.crossed)} on queries that did not choose it: expect that."
    )
