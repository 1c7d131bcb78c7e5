from __future__ import annotations

import threading

import numpy as np
import pytest

from reindex.encoder import truncate
from reindex.encoder.pooling import pool
from reindex.encoder.runtime import MemoryBudget, available_cores, cpu_name, unit
from reindex.encoder.tuning import faster

TOKENS = np.array([[1, 0], [0, 1], [0, 3]], dtype=np.float32)


@pytest.mark.parametrize(
    ("pooling", "first", "expected"),
    [
        ("mean", 0, [1 / 3, 4 / 3]), ("cls", 0, [1, 0]), ("lasttoken", 0, [0, 3]),
        ("max", 0, [1, 3]), ("weightedmean", 0, [1 / 6, 11 / 6]),
        ("mean_sqrt_len_tokens", 0, [1 / 3**0.5, 4 / 3**0.5]), ("cls+max", 0, [1, 0, 1, 3]),
        ("mean", 1, [0, 2]), ("cls", 1, [0, 1]), ("lasttoken", 2, [0, 3]),
        ("weightedmean", 1, [0, 11 / 5]), ("mean", 7, [0, 3]),
    ],
)  # fmt: skip
def test_pooling(pooling: str, first: int, expected: list[float]) -> None:
    np.testing.assert_allclose(pool(TOKENS, pooling, first), np.array(expected), rtol=1e-6)


def test_unit_keeps_the_direction_and_zero() -> None:
    found = unit(np.array([[3, 4], [0, 0]], dtype=np.float32))
    np.testing.assert_allclose(found, np.array([[0.6, 0.8], [0, 0]]), rtol=1e-6)
    assert found.dtype == np.float32


def test_truncate_slices_and_renormalises() -> None:
    vectors = np.array([[3, 4, 12], [0, 1, 0]], dtype=np.float32)
    np.testing.assert_allclose(truncate(vectors, 2), np.array([[0.6, 0.8], [0, 1]]), rtol=1e-6)
    np.testing.assert_allclose(truncate(vectors[0], 2), np.array([0.6, 0.8]), rtol=1e-6)


def test_there_is_a_core_and_a_cpu() -> None:
    assert available_cores() >= 1
    assert cpu_name() == cpu_name() != ""


def test_the_budget_admits_what_fits_and_lets_the_oversized_run_alone() -> None:
    budget = MemoryBudget(10)
    held, most = 0, 0
    lock = threading.Lock()

    def work(cost: int) -> None:
        nonlocal held, most
        for _ in range(200):
            with budget.hold(cost):
                with lock:
                    held += cost
                    most = max(most, held)
                    alone = held == cost
                assert cost <= 10 or alone
                with lock:
                    held -= cost

    errors: list[BaseException] = []

    def guarded(cost: int) -> None:
        try:
            work(cost)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(cost,)) for cost in (4, 5, 6, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not errors
    assert held == 0
    assert most == 25


def test_the_budget_is_given_back_after_an_error() -> None:
    budget = MemoryBudget(10)
    with pytest.raises(ValueError, match="inside"), budget.hold(10):
        raise ValueError("inside")
    with budget.hold(10):
        pass


@pytest.mark.parametrize(
    ("one_each", "together", "expected"),
    [(100, 90, "one_each"), (100, 105, "one_each"), (100, 120, "together")],
)
def test_one_text_on_all_cores_must_be_clearly_faster(
    one_each: float, together: float, expected: str
) -> None:
    assert faster(one_each, together) == expected
