"""What the folds of a small judged set say, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reindex.cli.sheets import line, sheet
from reindex.evaluation.statistics import percent
from reindex.measures import label

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reindex.evaluation.results import Comparison
    from reindex.evaluation.results_folds import Choice, Stability


def folds(c: Comparison) -> Iterator[RenderableType]:
    """The change in each fold; nothing where the judged set is not small."""
    found = c.stability
    if found is None:
        return
    title = f"{label(found.metric)} over the folds of a small judged set"
    table = sheet(title, "fold", "queries", "groups", "live", "candidate", "change")
    for number, row in enumerate(found.folds, start=1):
        means = f"{row.mean_live:.3f}", f"{row.mean_candidate:.3f}"
        counts = f"{row.queries:,}", f"{row.groups:,}"
        table.add_row(str(number), *counts, *means, percent(row.relative))
    yield table
    yield line(stability_in_words(found))


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
