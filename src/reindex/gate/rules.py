"""The gate language's meaning: a rule, held against the figures, is a condition."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable, Mapping

from reindex.config.conditions import Relation, Rule, matching, parse_rule, segments
from reindex.evaluation.figure import Figure
from reindex.gate.decision import Condition

_HOLDS: dict[Relation, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}
_WRITTEN = {"%": "%", "ms": "ms", "s": "s", "MB": "MB"}
"""A figure's unit -> the unit that a bound of it may carry."""


def conditions(
    rules: Iterable[str], figures: Mapping[str, Figure], *, k: int
) -> tuple[Condition, ...]:
    """What each rule says, one condition for every figure that it is about.

    ``k`` completes a metric without its cut-off: ``recall`` is ``recall@10``.
    """
    return tuple(
        condition for text in rules for condition in _conditions(parse_rule(text), figures, k)
    )


def _conditions(rule: Rule, figures: Mapping[str, Figure], k: int) -> Iterable[Condition]:
    found = matching(rule.figure, figures) or matching(_with_k(rule.figure, figures, k), figures)
    if not found:
        return [Condition(rule.figure, "fail", _unknown(rule.figure, figures, k), rule.text)]
    return [hold(rule, figures[name], name) for name in found]


def hold(rule: Rule, figure: Figure, name: str) -> Condition:
    """One figure against one rule."""
    problem = _mismatch(rule, figure)
    if problem:
        return Condition(name, "fail", problem, rule.text)
    told = f"{figure}. {figure.sentence}".strip() if figure.sentence else str(figure)
    return Condition(name, _verdict(rule, figure), told, rule.text)


def _verdict(rule: Rule, figure: Figure) -> str:
    """With ``shown`` or ``possible`` the interval decides."""
    holds, bound = _HOLDS[rule.relation], _bound(rule, figure)
    if not rule.evidence or figure.low is None or figure.high is None:
        return "pass" if holds(figure.value, bound) else "fail"
    ends = (holds(figure.low, bound), holds(figure.high, bound))
    if rule.evidence == "possible":
        return "pass" if any(ends) else "fail"
    return "pass" if all(ends) else "inconclusive" if any(ends) else "fail"


def _bound(rule: Rule, figure: Figure) -> float:
    """The rule's number in the figure's own unit."""
    return rule.bound / 1000 if figure.unit == "s" and rule.kind == "ms" else rule.bound


def _mismatch(rule: Rule, figure: Figure) -> str:
    """What is wrong with asking this of this figure; empty where nothing is."""
    if rule.evidence and (figure.low is None or figure.high is None):
        return f"{figure}: it has no interval to show anything by. Leave out '{rule.evidence}'."
    if figure.unit == "%" and not rule.kind and rule.bound:
        return f"{figure}: it is a share. Write the number with %, for example 5%."
    measured = "ms" if figure.unit == "s" else figure.unit
    if rule.kind and rule.kind != measured:
        unit = _WRITTEN.get(figure.unit)
        return f"{figure}: write the number {f'in {unit}' if unit else 'without a unit'}."
    return ""


def _with_k(figure: str, figures: Mapping[str, Figure], k: int) -> str:
    known = {part for name in figures for part in segments(name)}
    return ".".join(f"{part}@{k}" if f"{part}@{k}" in known else part for part in segments(figure))


def _unknown(figure: str, figures: Mapping[str, Figure], k: int) -> str:
    if "*" in figure:
        return "no figure of this comparison is of this form"
    near = difflib.get_close_matches(_with_k(figure, figures, k), figures, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"this comparison has no such figure{hint}"
