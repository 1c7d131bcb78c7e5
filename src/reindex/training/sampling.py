"""Batches of several objectives in one epoch, and batches that hold several texts of a class."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from reindex.errors import DataError


class Batches(Protocol):
    """What gives an epoch's batches: row numbers, the same for the same epoch."""

    batch_size: int
    drop_last: bool

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[list[int]]: ...


PER_CLASS = 4
"""Texts of a class in a batch: enough for a hardest positive, few enough for other classes."""


class ClassBatches:
    """Batches with several texts of each of several classes, as batch-hard triplets need them.

    A class of one text alone takes part as others' negative. Batches depend on seed and epoch
    alone, and every epoch has as many.

    Raises:
        DataError: no batch can hold two classes.
    """

    drop_last = False

    def __init__(
        self, classes: Sequence[str], batch_size: int, seed: int, *, processes: int = 1
    ) -> None:
        self.batch_size = batch_size
        self.epoch = 0
        self._seed = seed
        self._classes = classes
        self._rows: dict[str, list[int]] = {}
        for row, label in enumerate(classes):
            self._rows.setdefault(label, []).append(row)
        planned = len(self._plan(0))
        self._length = planned - planned % processes
        if not self._length:
            raise DataError(
                f"Expected batches of {batch_size} texts with two classes or more for each of "
                f"{processes} processes, got {planned}. Raise train.batch_size (8 at least), or "
                "give more texts."
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the batches of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        plan = self._plan(self.epoch)
        for place in range(self._length):
            yield plan[place % len(plan)]

    def _plan(self, epoch: int) -> list[list[int]]:
        draw = random.Random(f"{self._seed}-{epoch}")  # noqa: S311
        pieces = [piece for rows in self._rows.values() for piece in _pieces(rows, draw)]
        draw.shuffle(pieces)
        batches: list[list[int]] = [[]]
        for piece in pieces:
            if batches[-1] and len(batches[-1]) + len(piece) > self.batch_size:
                batches.append([])
            batches[-1] += piece
        return [batch for batch in batches if len({self._classes[row] for row in batch}) > 1]


def _pieces(rows: list[int], draw: random.Random) -> list[list[int]]:
    """A class's rows in pieces of `PER_CLASS`; a single one left over joins the piece before."""
    mixed = draw.sample(rows, len(rows))
    pieces = [mixed[start : start + PER_CLASS] for start in range(0, len(mixed), PER_CLASS)]
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        single = pieces.pop()
        pieces[-1] += single
    return pieces


class InterleavedBatches:
    """The batches of several sets of data, mixed by weight; each batch is of one set.

    An epoch takes ``weight x its own number`` of batches from each set, to the nearest, one at
    least: with weights of 1 it goes through all of them once. A set that is drawn less goes on in
    the next epoch where it stopped; one that is drawn more begins anew, in another order. The
    order depends on seed and epoch alone, so that a resumed training sees the same one.

    Args:
        sets: batches and weight of each set. Rows are counted through all sets, in this order.
        sizes: rows of each set.
        seed: of the order.
        processes: take turns at the batches, so the same set comes once for each of them.
    """

    drop_last = False

    def __init__(
        self,
        sets: Sequence[tuple[Batches, float]],
        sizes: Sequence[int],
        seed: int,
        *,
        processes: int = 1,
    ) -> None:
        self.batch_size = sets[0][0].batch_size
        self.epoch = 0
        self._sets = [batches for batches, _ in sets]
        self._turns = [max(1, round(weight * len(batches) / processes)) for batches, weight in sets]
        self._first_rows = [0, *itertools.accumulate(sizes)]
        self._seed = seed
        self._processes = processes

    @property
    def counts(self) -> list[int]:
        """Batches of each set in an epoch."""
        return [turns * self._processes for turns in self._turns]

    def set_epoch(self, epoch: int) -> None:
        """Choose the batches of this epoch; called by the trainer."""
        self.epoch = epoch

    def __len__(self) -> int:
        return sum(self.counts)

    def __iter__(self) -> Iterator[list[int]]:
        turns = [place for place, count in enumerate(self._turns) for _ in range(count)]
        random.Random(f"{self._seed}-{self.epoch}").shuffle(turns)  # noqa: S311
        streams = [self._stream(place) for place in range(len(self._sets))]
        for place in turns:
            for _ in range(self._processes):
                yield [row + self._first_rows[place] for row in next(streams[place])]

    def _stream(self, place: int) -> Iterator[list[int]]:
        """A set's batches from where the epochs before this one left it."""
        batches = self._sets[place]
        passes, skipped = divmod(self.epoch * self.counts[place], len(batches))
        for epoch in itertools.count(passes):
            batches.set_epoch(epoch)
            plan = list(batches)
            yield from plan[skipped if epoch == passes else 0 :]
