"""The namespace of figures: what is in it, and how a figure reads."""

from __future__ import annotations

import pytest

from reindex.evaluation.figure import Figure, quoted
from reindex.evaluation.figures import figures
from reindex.evaluation.results import DimensionRow, SubsetReport, VariantRow
from tests.made_comparison import made_comparison, steps


def test_a_metric_has_its_change_with_interval_and_both_means() -> None:
    made = made_comparison(*steps(80, 4))
    found, d = figures(made), made.row("recall")
    change = found["recall@10.change"]
    assert (change.value, change.low, change.high) == (d.relative, d.low, d.high)
    assert (found["recall@10.live"].value, found["mrr@10.candidate"].value) == (0.5, 0.75)
    assert found["recall@10.wins"].value == 20
    assert found["recall@10.difference"].value == pytest.approx(0.25)


def test_an_interval_of_few_differences_is_as_wide_as_they_allow() -> None:
    change = figures(made_comparison([1.0] * 5, [1.0] * 5))["recall@10.change"]
    # Clopper-Pearson, 0 of 5, 97.5 %
    assert (change.low, change.high) == pytest.approx((-0.522, 0.522), abs=1e-3)


def test_what_was_not_measured_has_no_figure() -> None:
    made = made_comparison(*steps(8, 4))
    assert "two_stage.loss" in figures(made)
    assert not any(name.startswith("dim") for name in figures(made))
    kept = SubsetReport(9, 8, (DimensionRow(16, None, None, 0.5, 0.9),), ())
    assert figures(made_comparison(*steps(8, 4), subset=kept))["dim16.kept"].value == 0.9


def test_latency_of_both_sides() -> None:
    found = figures(made_comparison(*steps(8, 4), p50_ms=15.0))
    assert found["latency.p50_ms"].value == 15.0
    assert found["latency.live.p50_ms"].value == 10.0
    assert found["latency.change"].value == pytest.approx(0.5)


def test_names_of_other_people_are_quoted() -> None:
    made = made_comparison(*steps(8, 4))
    rows = (VariantRow("in other words", 8, made.metrics),)
    found = figures(made_comparison(*steps(8, 4), variants=rows))
    assert 'variant."in other words".recall@10.change' in found
    assert quoted("de") == "de"
    assert quoted('a "b" \\ c') == '"a \\"b\\" \\\\ c"'


def test_figures_of_other_places_join() -> None:
    found = figures(made_comparison(*steps(8, 4)), [Figure("drift", 0.01, "%")])
    assert str(found["drift"]) == "1.0 %"


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure("a", 0.051, "%", low=0.012, high=0.09, confidence=0.95, signed=True),
         "+5.1 % (95 % interval +1.2 to +9.0 %)"),
        (Figure("a", -0.051, "%", signed=True), "−5.1 %"),
        (Figure("a", -0.0001, "%", signed=True), "±0.0 %"),
        (Figure("a", -0.00001), "0.000"),
        (Figure("a", 0.8437), "0.844"),
        (Figure("a", 12_345, "count"), "12,345"),
        (Figure("a", 12.34, "ms", low=11.0, high=14.0), "12.3 ms (interval 11.0 to 14.0 ms)"),
    ],
)  # fmt: skip
def test_a_figure_reads(figure: Figure, text: str) -> None:
    assert str(figure) == text
