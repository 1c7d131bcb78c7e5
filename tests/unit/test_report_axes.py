"""The ticks of the report's charts: neighbours never read alike, however near the values lie."""

from __future__ import annotations

import pytest

from reindex.report.charts import number, signed
from reindex.report.svg import Axis


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.2, 0.9), ["0.20", "0.40", "0.60", "0.80", "1.00"]),
        ((0.8563, 0.8597), ["0.856", "0.857", "0.858", "0.859", "0.860"]),
        ((0.9, 0.9), ["0.80", "0.85", "0.90", "0.95", "1.00"]),
    ],
)
def test_labels_have_the_decimals_that_tell_ticks_apart(
    values: tuple[float, ...], labels: list[str]
) -> None:
    axis = Axis.around(values, number)
    assert [axis.label(tick) for tick in axis.ticks] == labels


def test_a_quarter_step_is_written_out() -> None:
    axis = Axis.around((0.0, 0.115), signed)
    assert [axis.label(tick) for tick in axis.ticks][:3] == ["0", "+0.025", "+0.050"]
    assert signed(-0.0004, 3) == "0"
    assert signed(-0.2) == "−0.20"
