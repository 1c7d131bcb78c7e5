"""The gate's error rates and power, counted over simulated comparisons of clustered queries.

Each observed rate must stay within the stated one's 99.9 % binomial bound. The stated rate of a
false pass is 3.5 % (one side of a 95 % interval of the cluster bootstrap, nominally 2.5 %).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from reindex.evaluation.power import power_of
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.statistics import judge
from tests.simulated import Study, bound

STATED = 0.035
MARGIN = 0.05
Event = Callable[[PairedDifference], bool]


def passes(mode: str, min_effect: float = 0.0, margin: float = 0.0) -> Event:
    return lambda d: judge(d, mode=mode, min_effect=min_effect, margin=margin).verdict == "pass"  # type: ignore[arg-type]


def false_passes(icc: float, seed: int, studies: int) -> None:
    """No difference, asked for any gain; and a loss of just the margin, asked for no more."""
    (any_gain, five_percent, significant) = Study(icc=icc).rates(
        seed, studies, passes("superiority"), passes("superiority", 0.05),
        lambda d: d.p_value <= 0.05,
    )  # fmt: skip
    assert any_gain <= bound(STATED, studies)
    assert five_percent <= any_gain
    assert significant <= bound(0.05, studies)
    (no_worse,) = Study(icc=icc, effect=-MARGIN).rates(
        seed, studies, passes("non-inferiority", margin=MARGIN)
    )
    assert no_worse <= bound(STATED, studies)


def power_as_claimed(icc: float, seed: int, studies: int) -> None:
    """A gain of the size that a report calls passable, from the mean error of such reports."""
    study, rng = Study(icc=icc), np.random.default_rng(seed + 1000)
    pilots = [study.difference(rng) for _ in range(40)]
    error = float(np.mean([pilot.error for pilot in pilots]))
    claim = power_of(
        replace(pilots[0], error=error), mode="superiority", min_effect=0.02, margin=0.0
    )
    assert claim.passable is not None
    (passed,) = replace(study, effect=claim.passable).rates(
        seed, studies, passes("superiority", 0.02)
    )
    assert 1 - bound(0.2, studies) - 0.03 <= passed <= bound(0.8, studies) + 0.03


@pytest.mark.parametrize("icc", [0.5, 0.8])
def test_no_difference_passes_no_more_often_than_stated(icc: float) -> None:
    false_passes(icc, seed=1, studies=200)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("icc", [0.0, 0.5, 0.8])
def test_a_thousand_comparisons_without_a_difference(icc: float, seed: int) -> None:
    false_passes(icc, seed, studies=1000)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("icc", [0.5, 0.8])
def test_a_thousand_comparisons_have_the_power_that_a_report_claims(icc: float, seed: int) -> None:
    power_as_claimed(icc, seed, studies=1000)
