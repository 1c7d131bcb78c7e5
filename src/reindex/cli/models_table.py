"""Models that are no version beside live and the candidates, on the subset that all search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from reindex.cli.comparison_table import VERDICTS
from reindex.cli.sheets import NOTHING, line, sheet
from reindex.evaluation.models_words import called, next_step, prompts_of, remark
from reindex.evaluation.statistics import percent, percent_range
from reindex.measures import label

if TYPE_CHECKING:
    from rich.console import Console

    from reindex.cli.sheets import Sheet
    from reindex.evaluation.results_models import ModelsReport


def render_models(report: ModelsReport, console: Console) -> None:
    """Print a row for each, every measure, and the models' verdicts. Fits 80 columns and more."""
    console.print(_judged(report))
    console.print(line(remark(report)))
    console.print(_every_metric(report))
    console.print(Padding(Group(*_verdicts(report)), (1, 0)))


def _judged(report: ModelsReport) -> Sheet:
    heads = ("dims", "mean", "change", "interval", "p")
    table = sheet(f"{label(report.metric)} on a subset, exactly", "", *heads)
    for row in report.rows:
        d = row.difference if row.family is None else row.family.difference
        mean = f"{row.means[report.metric]:.3f}"
        if d is None or row.difference is None:
            table.add_row(called(row), str(row.dim), mean, *[NOTHING] * 3)
            continue
        interval, p = percent_range(d.low, d.high), f"{row.difference.p_value:.3f}"
        table.add_row(called(row), str(row.dim), mean, percent(d.relative), interval, p)
    return table


def _every_metric(report: ModelsReport) -> Sheet:
    names = list(report.rows[0].means)
    table = sheet("On the subset, every measure", "", *map(label, names[:5]))
    for row in report.rows:
        table.add_row(called(row), *(f"{row.means[name]:.3f}" for name in names[:5]))
    return table


def _verdicts(report: ModelsReport) -> Iterator[Text]:
    for row in report.models():
        if row.judged is not None:
            word, style = VERDICTS[row.judged.verdict]
            yield Text.assemble((word, style), f"  {row.name}, on the subset: {row.judged.reason}")
        yield Text(f"  {prompts_of(row)} {next_step(row)}", style="dim")
