"""Batches for devices that are fast only with many texts at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MULTIPLE = 8
"""Lengths are padded to a multiple of this: what tensor cores compute in."""


def token_batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Rows in batches of similar length, none of more than ``budget`` tokens with its padding.

    The longest come first, so that memory is short at the beginning or not at all. A text that
    alone is over the budget is a batch of its own.
    """
    batches: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if room < 1:
            batches.append([])
            room = max(1, budget // padded_length(lengths[row]))
        batches[-1].append(row)
        room -= 1
    return batches


def padded_length(length: int) -> int:
    """``length`` rounded up to a multiple of `MULTIPLE`."""
    return -(-length // MULTIPLE) * MULTIPLE


def pad(
    tokens: Sequence[Sequence[int]], padding: int, limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and mask, ``(texts, tokens)`` each, padded on the right up to ``limit`` at most."""
    longest = max(map(len, tokens))
    width = max(longest, min(padded_length(longest), limit))
    ids = np.full((len(tokens), width), padding, np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask
