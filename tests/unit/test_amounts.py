"""Rates, times and budgets as people write them."""

from __future__ import annotations

import click
import pytest

from reindex.cli.amounts import BudgetLimit, Rate, duration, size
from reindex.pacing import Budget


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("30m", Budget(seconds=1800)),
        ("90s", Budget(seconds=90)),
        ("1.5h", Budget(seconds=5400)),
        ("2 d", Budget(seconds=172_800)),
        ("100000", Budget(texts=100_000)),
        ("100_000", Budget(texts=100_000)),
        ("100,000", Budget(texts=100_000)),
    ],
)
def test_budgets(text: str, budget: Budget) -> None:
    assert BudgetLimit().convert(text, None, None) == budget


@pytest.mark.parametrize("text", ["", "soon", "-5", "0", "0m", "1.5", "30 parsecs", "m"])
def test_what_is_no_budget(text: str) -> None:
    with pytest.raises(click.BadParameter, match="30m"):
        BudgetLimit().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("200/s", 200), ("200", 200), ("1_200/min", 20), ("0.5/s", 0.5), ("7200/h", 2), ("OFF", None)],
)
def test_rates(text: str, rate: float | None) -> None:
    assert Rate().convert(text, None, None) == rate


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (600, "10 min"), (9000, "2.5 h"), (864_000, "10.0 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1536, "1.5 KiB"), (50 * 2**20, "50 MiB"), (3 * 2**40, "3.0 TiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text
