"""Rows that bring unequally many negatives: those with as many go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reindex.records import TrainingExample
from reindex.training.batching import LEFT_OUT, MOST_LEFT_OUT


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with as many negatives each, in their order.

    Attributes:
        cut: how many of them had more.
        left_out: rows that are in no group, told with the first one.
    """

    rows: tuple[TrainingExample, ...]
    negatives: int
    cut: int = 0
    left_out: int = 0

    @property
    def told(self) -> str:
        """For the reason of the loss."""
        parts = [f"batches of rows with {self.negatives} negatives"]
        if self.cut:
            parts.append(f"{self.cut} rows had more and were cut")
        if self.left_out:
            parts.append(f"{self.left_out} rows had fewer, too few for a batch, and were left out")
        return ", ".join(parts)


def groups_of(
    rows: Sequence[TrainingExample], batch_size: int, processes: int = 1, *, required: bool = False
) -> list[Group]:
    """The rows by their number of negatives, most first; one group where all have as many.

    A loss compares columns, so the rows of a batch must bring equally many. No negative is made up
    and none counts twice: rows with as many make batches of their own, and the loss of each row is
    exactly that of its own negatives. Groups of less than a quarter of a batch (several processes:
    less than a batch for each) would be whole steps of a few rows: they are cut to the next lower
    number. The lowest has none below it, and is left out where it is a tenth of the rows at most.

    Args:
        rows: with teacher scores or without.
        batch_size: that they will be in.
        processes: that take turns at the batches.
        required: the loss can do nothing with a row without negatives.
    """
    counts = sorted({len(row.negatives) for row in rows}, reverse=True)
    if len(counts) == 1:
        return [Group(tuple(rows), counts[0])]
    least = batch_size // LEFT_OUT if processes == 1 else batch_size * processes
    if required and counts[-1] == 0:
        counts.pop()
    groups: list[Group] = []
    above: list[int] = []  # places of rows that are yet in no group
    for count in counts:
        own = [place for place, row in enumerate(rows) if len(row.negatives) == count]
        if len(own) + len(above) < least and count != counts[-1]:
            above += own
            continue
        places = sorted([*above, *own])
        cut = tuple(_first(rows[place], count) for place in places)
        groups.append(Group(cut, count, cut=len(above)))
        above = []
    if len(groups) > 1 and len(groups[-1].rows) < min(least, MOST_LEFT_OUT * len(rows)):
        groups.pop()
    lost = len(rows) - sum(len(group.rows) for group in groups)
    return [replace(groups[0], left_out=lost), *groups[1:]]


def _first(row: TrainingExample, count: int) -> TrainingExample:
    """A row with its first negatives alone: mined ones come hardest first."""
    if len(row.negatives) == count:
        return row
    return replace(row, negatives=row.negatives[:count], scores=row.scores[: 1 + count])
