"""Several candidates as one table, with the verdicts that hold for all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from reindex.cli.comparison_table import VERDICTS
from reindex.cli.sheets import NOTHING, line, sheet
from reindex.evaluation.folds_words import choice_in_words
from reindex.evaluation.statistics import percent, percent_range
from reindex.measures import label

if TYPE_CHECKING:
    from rich.console import Console

    from reindex.cli.sheets import Sheet
    from reindex.evaluation.results import Comparison


def render_candidates(comparisons: Sequence[Comparison], console: Console) -> None:
    """Print a row for live and for each candidate, then each one's verdict. Fits 80 columns."""
    first = comparisons[0]
    console.print(
        Padding(
            Text(f"{len(comparisons)} candidates against live {first.live.version}"), (1, 0, 0, 0)
        )
    )
    console.print(_judged(comparisons))
    console.print(line(_remark(first)))
    for choice in (one.family.choice for one in comparisons if one.family):
        if choice is not None:
            console.print(line(choice_in_words(choice)))
    console.print(_every_metric(comparisons))
    console.print(Padding(Group(*(_verdict(one) for one in comparisons)), (1, 0)))


def _judged(comparisons: Sequence[Comparison]) -> Sheet:
    first = comparisons[0]
    heads = ("mean", "change", "interval", "p", "Holm's p", "median")
    table = sheet(f"{label(first.metric)}, judged", "version", *heads)
    latency = f"{first.live_latency.p50_ms:.1f} ms"
    table.add_row(first.live.version, f"{first.judged.mean_live:.3f}", *[NOTHING] * 4, latency)
    for one in comparisons:
        d = one.judged if one.family is None else one.family.difference
        table.add_row(
            one.candidate.version,
            f"{d.mean_candidate:.3f}",
            percent(d.relative),
            percent_range(d.low, d.high),
            f"{one.judged.p_value:.3f}",
            NOTHING if one.family is None else f"{one.family.p_value:.3f}",
            f"{one.candidate_latency.p50_ms:.1f} ms",
        )
    return table


def _remark(c: Comparison) -> str:
    return (
        f"{c.queries:,} judged queries in {c.groups:,} independent groups. Intervals are as wide "
        "as Holm's order asks for. p is of the difference, Holm's p of being better, for all of "
        "them together."
    )


def _every_metric(comparisons: Sequence[Comparison]) -> Sheet:
    first = comparisons[0]
    names = [one.candidate.version for one in comparisons]
    table = sheet("Search as it serves", "metric", first.live.version, *names)
    for row in first.metrics:
        means = [one.row(row.name).mean_candidate for one in comparisons]
        values = (row.difference.mean_live, *means)
        table.add_row(label(row.name), *(f"{value:.3f}" for value in values))
    return table


def _verdict(c: Comparison) -> Text:
    word, style = VERDICTS[c.verdict]
    return Text.assemble((word, style), f"  {c.candidate.version}: {c.reason}")
