"""Parts of training data that share nothing: splits by ratio, and folds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from reindex.corpus.training_sets import Row
from reindex.datasets.near import groups_of
from reindex.errors import DataError

LARGE_GROUP = 0.5
"""Share of the rows in one group from which splitting says little; people are told."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows in parts, by their places; no group is in two of them.

    ``groups`` counts the groups, ``largest`` is the number of rows in the largest one.
    """

    parts: tuple[tuple[int, ...], ...]
    groups: int
    largest: int

    @property
    def lopsided(self) -> bool:
        """Whether one group holds so many rows that the parts cannot be as asked."""
        return self.largest > LARGE_GROUP * sum(map(len, self.parts))


def split_rows(rows: Sequence[Row], shares: Sequence[float], *, seed: int) -> Split:
    """Cut rows into parts of about these shares; what belongs together stays together.

    The largest groups are placed first, each into the part that lacks most of its share; equal
    ones in an order that the seed draws. The same rows, shares and seed give the same parts.

    Raises:
        DataError: there are fewer groups than parts.
    """
    groups = groups_of(rows)
    if len(groups) < len(shares):
        raise DataError(
            f"Expected at least {len(shares)} groups of rows that share nothing, for as many "
            f"parts; {len(rows):,} rows make {len(groups)}. Rows belong together that share a "
            "text, or have nearly the same one."
        )
    random.Random(seed).shuffle(groups)  # noqa: S311
    groups.sort(key=len, reverse=True)
    whole, total = sum(shares), len(rows)
    wanted = [share / whole * total for share in shares]
    parts: list[list[int]] = [[] for _ in shares]
    for number, group in enumerate(groups):
        empty = [at for at, part in enumerate(parts) if not part]
        open_parts = empty if len(empty) >= len(groups) - number else range(len(parts))
        at = max(open_parts, key=lambda part: (wanted[part] - len(parts[part]), -part))
        parts[at].extend(group)
    return Split(tuple(tuple(sorted(part)) for part in parts), len(groups), len(groups[0]))


def fold_rows(rows: Sequence[Row], folds: int, *, seed: int) -> Split:
    """Cut rows into ``folds`` parts of about the same size. See `split_rows`."""
    return split_rows(rows, [1.0] * folds, seed=seed)
