"""Models that are no version beside live and the candidates, on the subset that all search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from reindex.cli.comparison_table import VERDICTS
from reindex.cli.sheets import NOTHING, line, sheet
from reindex.evaluation.statistics import percent, percent_range
from reindex.measures import label

if TYPE_CHECKING:
    from rich.console import Console

    from reindex.cli.sheets import Sheet
    from reindex.evaluation.results_models import ModelsReport, SubsetRow


def render_models(report: ModelsReport, console: Console) -> None:
    """Print a row for each, every measure, and the models' verdicts. Fits 80 columns and more."""
    console.print(_judged(report))
    console.print(line(remark(report)))
    console.print(_every_metric(report))
    console.print(Padding(Group(*_verdicts(report)), (1, 0)))


def remark(report: ModelsReport) -> str:
    """What these rows are, and what they are not."""
    return (
        f"Exact search of {report.documents:,} documents (judged ones, hard distractors, a "
        f"sample), {report.queries:,} of {report.of_queries:,} judged queries in "
        f"{report.groups:,} independent groups. Fewer documents compete than in a whole "
        "collection: compare these rows with one another alone. What other models would confuse "
        "with the answers may be missing, so every row but live's is an upper bound. What a model "
        "was trained on is not known: it may have seen these queries."
    )


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


def called(row: SubsetRow) -> str:
    """The row's name; of what is no model, with what it is."""
    return row.name if row.role == "model" else f"{row.name} ({row.role})"


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


def prompts_of(row: SubsetRow) -> str:
    """How the model was asked to embed."""
    if row.max_length is None:
        return "Embedded as the version does."
    tokens = f"{row.max_length} tokens a text"
    if not any(row.prompts):
        return f"Embedded without prompts, {tokens}; if its card asks for some: --model-prompts."
    query, document = row.prompts
    return f"Embedded with the prompts {query!r} and {document!r}, {tokens}."


def next_step(row: SubsetRow) -> str:
    """What makes a version of it."""
    if row.name.startswith("v") and row.name[1:].isdecimal():
        return f"It cannot be promoted before: reindex build {row.name}"
    return (
        "It cannot be promoted. As a version: "
        f"reindex init --adopt --base {row.name}; fine-tuned: reindex train --base {row.name}"
    )
