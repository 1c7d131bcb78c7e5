"""What a query set can show: the formulas, and that the power is what they claim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reindex.evaluation.power import Power, in_words, power_of
from reindex.evaluation.resampling import PairedDifference, paired_difference
from reindex.evaluation.statistics import judge
from tests.simulated import Study, bound

STUDIES = 300
SLACK = 0.03  # percentile intervals and 300 resamples against the normal theory of the formula


def near_stated(rate: float, stated: float) -> bool:
    """Within the 99.9 % bounds of the stated rate, both ways."""
    above, below = bound(stated, STUDIES), 1 - bound(1 - stated, STUDIES)
    return below - SLACK <= rate <= above + SLACK


def power(
    d: PairedDifference, e: float = 0.0, *, mode: str = "superiority", m: float = 0.0
) -> Power:
    return power_of(d, mode=mode, min_effect=e, margin=m)  # type: ignore[arg-type]


def expected_error(study: Study, pilots: int = 40) -> float:
    rng = np.random.default_rng(99)
    return float(np.mean([study.difference(rng).error for _ in range(pilots)]))


@pytest.mark.parametrize("icc", [0.0, 0.5, 0.8])
def test_a_change_of_the_detectable_size_is_shown_in_four_of_five(icc: float) -> None:
    study = Study(icc=icc)
    error = expected_error(study)
    rng = np.random.default_rng(3)
    report = power(replace(study.difference(rng), error=error))
    assert report.detectable is not None
    assert report.detectable == pytest.approx(2.80 * error, rel=0.01)

    (shown,) = replace(study, effect=report.detectable).rates(1, STUDIES, lambda d: d.low > 0)

    assert near_stated(shown, 0.8)


@pytest.mark.parametrize("e", [0.01, 0.05, 0.2])
def test_a_gain_of_the_passable_size_passes_in_four_of_five(e: float) -> None:
    study = Study()
    error = expected_error(study)
    report = power(replace(study.difference(np.random.default_rng(3)), error=error), e)
    assert report.passable is not None

    (passed,) = replace(study, effect=report.passable).rates(
        2, STUDIES, lambda d: judge(d, mode="superiority", min_effect=e, margin=0).verdict == "pass"
    )

    assert near_stated(passed, 0.8)


def test_a_loss_of_the_passable_size_passes_non_inferiority_in_four_of_five() -> None:
    study, margin = Study(), 0.15
    error = expected_error(study)
    drawn = study.difference(np.random.default_rng(3))
    report = power(replace(drawn, error=error), mode="non-inferiority", m=margin)
    assert report.passable is not None
    assert report.passable < 0

    (passed,) = replace(study, effect=report.passable).rates(
        4,
        STUDIES,
        lambda d: judge(d, mode="non-inferiority", min_effect=0, margin=margin).verdict == "pass",
    )

    assert near_stated(passed, 0.8)


@pytest.mark.parametrize(
    ("effect", "e", "decided"), [(0.06, 0.02, "pass"), (0.02, 0.08, "fail"), (-0.01, 0.05, "fail")]
)
def test_with_the_queries_that_were_missing_four_of_five_are_decided(
    effect: float, e: float, decided: str
) -> None:
    few = Study(groups=60, effect=effect)
    unclear = replace(
        few.difference(np.random.default_rng(8)),
        error=expected_error(few), relative=effect, low=-1.0, high=1.0,
    )  # fmt: skip
    report = power(unclear, e)
    assert report.more_groups is not None
    assert report.more_queries == pytest.approx(report.more_groups * 4, rel=0.15)

    (right,) = replace(few, groups=60 + report.more_groups).rates(
        5,
        STUDIES,
        lambda d: judge(d, mode="superiority", min_effect=e, margin=0).verdict == decided,
    )

    assert near_stated(right, 0.8)


def scores(wins: int, losses: int, ties: int) -> PairedDifference:
    live = [0.0] * wins + [1.0] * losses + [1.0] * ties
    candidate = [1.0] * wins + [0.0] * losses + [1.0] * ties
    return paired_difference(np.array(live), np.array(candidate), np.arange(len(live)))


def test_a_verdict_needs_no_more_queries() -> None:
    report = power(scores(120, 20, 600), 0.05)
    assert (report.more_groups, report.more_queries) == (None, None)


def test_few_discordant_queries_need_twenty() -> None:
    report = power(scores(10, 0, 90), 0.05)
    assert report.more_queries == 100


def test_a_change_at_the_limit_is_decided_by_no_number_of_queries() -> None:
    found = scores(60, 40, 300)
    report = power(replace(found, low=-0.1, high=0.2, relative=0.05), 0.05)
    assert report.more_queries is None
    assert "too near the limit" in in_words(report)


def test_identical_results_show_nothing_of_the_spread() -> None:
    report = power(scores(0, 0, 100), 0.05)
    assert (report.detectable, report.passable, report.more_queries) == (None, None, None)
    assert in_words(report).startswith("Nothing differs")
    missing = power(scores(0, 0, 100), mode="non-inferiority", m=0.01)
    assert missing.more_groups == 368 - 100  # 0.99 ** 368 = 0.025
    assert "About 268 more queries" in in_words(missing)
