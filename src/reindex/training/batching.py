"""Batches without duplicates, and a forward pass that computes no padding."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from reindex.errors import DataError

LEFT_OUT = 4
"""Batches of collided rows must have a fourth of the size. (MedQuAD has an answer to 240 of 10,903
questions: 64 batches of 64 of them would be followed by 44 of under ten rows.)"""

MOST_LEFT_OUT = 0.1
"""… but no more of the rows than this share stay away from an epoch for it."""


@dataclass(frozen=True, slots=True)
class RowKeys:
    """What decides which rows go together: texts, as hashes that ignore case and white space.

    Attributes:
        own: its query, and all that answers it in any row: nobody's negatives in its batch.
        brought: all that it brings into a batch.
    """

    own: frozenset[str]
    brought: frozenset[str]


Keys: TypeAlias = RowKeys | frozenset[str]
"""Plain keys are both: rows that share one are in no batch."""


class NoDuplicateBatches:
    """A batch sampler: no text that answers a row's query comes into its batch by another row.

    There it would be a false negative. Much as sentence-transformers' ``NO_DUPLICATES`` (rows that
    collide wait for a later batch), with these differences: texts are compared in lower case with
    white space folded; all answers that a query has in any row count, not the row's own alone; two
    rows may share a hard negative; the batches depend on seed and epoch alone, so that a resumed
    training sees the same ones; and the number of batches is exact. A last batch of one row is
    left out where rows bring no negatives: its loss is zero. A text that more
    rows have than there are full batches ends up in a tail of tiny ones, each a whole step with
    hardly a negative: past the number of full batches, those under a quarter of the size are left
    out, a tenth of the rows at most, other ones in every epoch.
    """

    drop_last = False

    def __init__(
        self, keys: Sequence[Keys], batch_size: int, seed: int, *, processes: int = 1
    ) -> None:
        """``processes`` take turns at the batches; what does not go round is left out."""
        self.batch_size = batch_size
        self.epoch = 0
        self._keys = [item if isinstance(item, RowKeys) else RowKeys(item, item) for item in keys]
        self._seed = seed
        self._plans: dict[int, list[list[int]]] = {}
        planned = len(self._plan(0))
        self._length = planned - planned % processes
        if planned and not self._length:
            raise DataError(
                f"{len(keys)} training rows make {planned} batches of {batch_size}; expected one "
                f"for each of {processes} processes at least. Start fewer processes, or lower "
                "train.batch_size."
            )
        if not self._length:
            raise DataError(
                "Expected at least two training rows that have no text in common, got none: the "
                "other rows of a batch are the negatives. Give more, or more varied, examples."
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose the batches of this epoch; called by the trainer."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[int]]:
        plan = self._plan(self.epoch)
        for place in range(self._length):  # as many in every epoch, whatever collided
            yield plan[place % len(plan)]

    def _plan(self, epoch: int) -> list[list[int]]:
        if epoch not in self._plans:
            self._plans = {epoch: self._make_plan(epoch)}
        return self._plans[epoch]

    def _make_plan(self, epoch: int) -> list[list[int]]:
        waiting = deque(self._shuffled(epoch))
        rows = len(waiting)
        batches: list[list[int]] = []
        while waiting:
            batches.append(self._take(waiting, epoch, len(batches)))
        pairs = all(len(row.brought) <= 2 for row in self._keys)
        least = 2 if pairs else 1
        full = -(-rows // self.batch_size)  # as many as there would be of one-time texts
        left = 0
        while len(batches) > full and len(batches[-1]) < self.batch_size // LEFT_OUT:
            left += len(batches[-1])
            if left > MOST_LEFT_OUT * rows:
                break
            batches.pop()
        return [batch for batch in batches if len(batch) >= least]

    def _shuffled(self, epoch: int) -> list[int]:
        rows = list(range(len(self._keys)))
        random.Random(f"{self._seed}-{epoch}").shuffle(rows)  # noqa: S311
        return rows

    def _row(self, row: int, epoch: int, place: int) -> int:  # noqa: ARG002
        """The row that stands for ``row`` in the epoch's batch number ``place``."""
        return row

    def _take(self, waiting: deque[int], epoch: int, number: int) -> list[int]:
        """Take the first rows that go together out of ``waiting``; the others keep their order."""
        batch: list[int] = []
        late: list[int] = []
        owned: set[str] = set()
        brought: set[str] = set()
        while waiting and len(batch) < self.batch_size:
            one = waiting.popleft()
            row = self._row(one, epoch, number)
            keys = self._keys[row]
            if owned.isdisjoint(keys.brought) and brought.isdisjoint(keys.own):
                batch.append(row)
                owned |= keys.own
                brought |= keys.brought
            else:
                late.append(one)
        waiting.extendleft(reversed(late))
        return batch


class PackedForward:
    """Computes a batch's sentence embeddings in parts of similar length, each without its padding.

    Takes the place of ``model.forward`` while training on a CPU. The loss sees the whole batch in
    its order, so nothing changes but the time: padding is not computed (a third of the tokens of
    a mixed batch), and activations come in pieces that the caches and the allocator like.

    Args:
        forward: the model's own forward pass.
        rows: texts per part.
    """

    def __init__(self, forward: Callable[..., dict[str, Any]], rows: int) -> None:
        self._forward = forward
        self._rows = rows

    def __call__(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """``{"sentence_embedding": (n, dim)}`` for tokenised ``features`` of ``(n, tokens)``."""
        mask = features.get("attention_mask")
        sides = [] if mask is None else [bool(mask[:, end].all()) for end in (0, -1)]
        if mask is None or not any(sides):  # no text, or padded in a way of its own
            return self._forward(features, **kwargs)
        import torch

        lengths = mask.sum(dim=1)
        order = torch.argsort(lengths, stable=True)
        parts = []
        for rows in order.split(self._rows):
            width = int(lengths[rows[-1]])
            columns = slice(width) if sides[0] else slice(-width, None)
            part = {key: _cut(value, mask.shape, rows, columns) for key, value in features.items()}
            parts.append(self._forward(part, **kwargs)["sentence_embedding"])
        return {"sentence_embedding": torch.cat(parts)[torch.argsort(order)]}


def _cut(value: Any, shape: Any, rows: Any, columns: slice) -> Any:
    """Rows and some columns of a tokenised column; other values as they are."""
    if getattr(value, "shape", None) == shape:
        return value[rows, columns]
    return value
