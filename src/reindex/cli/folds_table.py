"""What the folds of a small judged set say, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reindex.cli.sheets import line, sheet
from reindex.evaluation.folds_words import stability_in_words
from reindex.evaluation.statistics import percent
from reindex.measures import label

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reindex.evaluation.results import Comparison


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
