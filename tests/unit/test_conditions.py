"""The gate language: what reads as a condition, what does not, and what one says of figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from reindex.config import load_settings
from reindex.config.conditions import matching, measures_in, parse_rule
from reindex.errors import ConfigError
from reindex.evaluation.figure import Figure
from reindex.gate.decision import Condition
from reindex.gate.rules import conditions


def share(name: str, value: float, low: float | None = None, high: float | None = None) -> Figure:
    return Figure(name, value, "%", low=low, high=high, confidence=0.95, signed=True)


FIGURES = {
    figure.name: figure
    for figure in (
        share("recall@10.change", 0.06, 0.01, 0.11),
        share("ndcg@10.change", -0.005, -0.02, 0.01),
        share("slice.language=de.recall@10.change", -0.03, -0.08, -0.025),
        share('slice.language="zh.hant".recall@10.change', 0.0, -0.01, 0.01),
        Figure("latency.p50_ms", 12.0, "ms"),
        Figure("seconds", 2.0, "s"),
        Figure("recall@10.live", 0.8),
        share("step.model.change", 0.01),
        Figure("protected.failed", 0, "count"),
    )
}


def asked(*rules: str) -> tuple[Condition, ...]:
    return conditions(rules, FIGURES, k=10)


def verdict(rule: str) -> str:
    (condition,) = asked(rule)
    return condition.verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("recall@10.change >= 5%", ("recall@10.change", ">=", 0.05, "%", "")),
        ("ndcg@10.change>=-1% shown", ("ndcg@10.change", ">=", -0.01, "%", "shown")),
        ("  latency.p50_ms  <  0.05 s ", ("latency.p50_ms", "<", 50.0, "ms", "")),
        ("protected.failed == 0", ("protected.failed", "==", 0.0, "", "")),
        ('slice.a="x >= 1. y".mrr@5.change > +2 % shown',
         ('slice.a="x >= 1. y".mrr@5.change', ">", 0.02, "%", "shown")),
    ],
)  # fmt: skip
def test_a_rule_reads(text: str, expected: tuple[str, str, float, str, str]) -> None:
    rule = parse_rule(text)
    found = (rule.figure, rule.relation, rule.bound, rule.kind, rule.evidence)
    assert (found[:2], found[3:]) == (expected[:2], expected[3:])
    assert found[2] == pytest.approx(expected[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: expected a figure such as recall@10.change, found the end"),
        ("recall", "column 7: expected one of >=, <=, >, <, ==, found the end"),
        ("recall => 5", "column 8: expected one of >=, <=, >, <, ==, found '=>'"),
        ("recall >= five", "column 11: expected a number such as -1 or 0.5, found 'five'"),
        ("recall >= 1.2.3", "column 11: expected a number such as -1 or 0.5, found '1.2.3'"),
        ("recall >= 5 percent", "column 13: expected a unit (%, ms, s, MB, GB), 'shown'"),
        ("recall >= 5% shwon", "column 14: expected 'shown', 'possible' or the end, found 'shwon'"),
        ("recall >= 5% shown yes", "column 20: expected the end, found 'yes'"),
        (
            "recall >= 5% and mrr > 0",
            "column 14: expected 'shown', 'possible' or the end, found",
        ),
        ("recall == 5% shown", "'shown' goes with >=, <=, > and <"),
        ('slice."a >= 5', "column 6: expected one of"),
        ("a..b > 0", "column 2: expected one of"),
    ],
)
def test_what_is_no_rule_is_told_with_its_column(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_rule(text)
    assert message in str(error.value)


def test_the_configuration_names_the_condition_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "reindex.toml"
    file.write_text('[gate]\nconditions = ["recall.change > 0%", "recall >= x"]\n', "utf-8")
    with pytest.raises(ConfigError, match=r"gate\.conditions\.1: .*column 11: expected a number"):
        load_settings(file)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("recall@10.change >= 5%", "pass"),
        ("recall@10.change >= 7%", "fail"),
        ("recall@10.change > 0% shown", "pass"),
        ("recall@10.change > 2% shown", "inconclusive"),
        ("recall@10.change > 12% shown", "fail"),
        ("recall@10.change < 12% shown", "pass"),
        ("recall@10.change < 5% shown", "inconclusive"),
        ("recall@10.change < 0 shown", "fail"),
        ("recall@10.change > 2% possible", "pass"),
        ("recall@10.change > 12% possible", "fail"),
        ("recall@10.change < 0 possible", "fail"),
        ("latency.p50_ms <= 12", "pass"),
        ("latency.p50_ms < 12 ms", "fail"),
        ("latency.p50_ms <= 0.011 s", "fail"),
        ("seconds <= 2", "pass"),
        ("seconds <= 1900ms", "fail"),
        ("protected.failed == 0", "pass"),
        ("recall@10.live > 0.8", "fail"),
        ("recall.change >= 5%", "pass"),
    ],
)
def test_a_rule_decides(rule: str, expected: str) -> None:
    assert verdict(rule) == expected


def test_a_condition_tells_its_numbers() -> None:
    (found,) = asked("recall@10.change > 2% shown")
    assert found.name == "recall@10.change"
    assert found.figure == "+6.0 % (95 % interval +1.0 to +11.0 %)"
    assert found.required == "recall@10.change > 2% shown"


def test_a_wildcard_asks_every_figure_and_names_each() -> None:
    found = asked("slice.*.recall@10.change >= -2% shown")
    assert {item.name: item.verdict for item in found} == {
        "slice.language=de.recall@10.change": "fail",
        'slice.language="zh.hant".recall@10.change': "pass",
    }
    names = list(FIGURES)
    assert matching('slice.language="zh.hant".*.change', names) == [names[3]]
    assert matching("*.change", names) == names[:2]
    assert matching('slice.language="*".recall@10.change', names) == []


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("recal@10.change >= 5%", "no such figure; did you mean recall@10.change"),
        ("recall >= 5%", "did you mean recall@10.change or recall@10.live?"),
        ("latency.p50 <= 50", "did you mean latency.p50_ms"),
        ("nothing.of.this >= 5%", "no such figure"),
        (
            "slcie.*.recal@10.change >= -2%",
            "no figure of this form; did you mean slice.*.recall@10.change?",
        ),
        ("slice.*.change >= 0", "no figure of this form; did you mean slice.*.recall@10.change?"),
        ("*.p50 <= 50", "no figure of this form; did you mean *.p50_ms?"),
        ("*.of.this.there >= 5%", "this comparison has no figure of this form"),
        ("recall@10.change >= 5", "Write the number with %"),
        ("recall@10.change >= 5 ms", "write the number in %"),
        ("latency.p50_ms <= 5%", "write the number in ms"),
        ("protected.failed <= 5%", "write the number without a unit"),
        ("latency.p50_ms <= 50 shown", "no interval to show anything by"),
    ],
)
def test_a_rule_that_cannot_be_asked_fails_and_says_why(rule: str, told: str) -> None:
    (found,) = asked(rule)
    assert found.verdict == "fail"
    assert told in found.figure


def test_the_metrics_that_rules_speak_of() -> None:
    rules = ["ndcg@20.change >= 0%", "slice.*.mrr.change > 0%", "latency.p50_ms < 5", "drift < 1%"]
    assert measures_in(rules) == ["ndcg@20", "mrr"]
