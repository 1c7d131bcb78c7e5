"""Batches by length within a budget of tokens."""

from __future__ import annotations

import numpy as np
import pytest

from reindex.encoder.batching import MULTIPLE, pad, token_batches


@pytest.mark.parametrize("budget", [1, 64, 1000, 10**9])
def test_batches_cover_every_row_once_and_keep_to_the_budget(budget: int) -> None:
    lengths = np.random.default_rng(3).integers(1, 257, 500).tolist()
    batches = token_batches(lengths, budget)
    assert sorted(row for rows in batches for row in rows) == list(range(500))
    for rows in batches:
        widest = max(lengths[row] for row in rows)
        padded = -(-widest // MULTIPLE) * MULTIPLE
        assert len(rows) == 1 or len(rows) * padded <= budget
    ordered = [lengths[row] for rows in batches for row in rows]
    assert ordered == sorted(lengths, reverse=True)


def test_padding_is_small() -> None:
    lengths = np.random.default_rng(3).integers(1, 257, 2000).tolist()
    batches = token_batches(lengths, 8192)
    padded = sum(len(rows) * max(lengths[row] for row in rows) for rows in batches)
    assert padded < 1.1 * sum(lengths)


def test_nothing_gives_no_batches() -> None:
    assert token_batches([], 100) == []


def test_padding_is_on_the_right_and_within_the_maximum() -> None:
    ids, mask = pad([[5, 6, 7], [8]], 1, 256)
    assert ids.shape == mask.shape == (2, 8)
    assert ids[0].tolist() == [5, 6, 7, 1, 1, 1, 1, 1]
    assert mask[1].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert pad([[1] * 10], 0, 10)[0].shape == (1, 10)  # a model may have no more positions
