"""The gate language's meaning: a rule, held against the figures, is a condition."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable, Mapping

from reindex.config.conditions import (
    Relation,
    Rule,
    matching,
    parse_rule,
    plain_segment,
    segment_pattern,
    segments,
)
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
    found = meant(rule.figure, figures, k)
    if not found:
        return [Condition(rule.figure, "fail", unknown(rule.figure, figures, k), rule.text)]
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


def meant(figure: str, known: Iterable[str], k: int) -> list[str]:
    """The names of ``known`` that ``figure`` stands for: as it is, or with ``@k`` completed."""
    names = list(known)
    return matching(figure, names) or matching(_with_k(figure, names, k), names)


def unknown(figure: str, known: Iterable[str], k: int) -> str:
    """Why a name stands for no figure, with the nearest that there are."""
    names, few, missing = list(known), 3, "no such figure"
    wanted = _with_k(figure, names, k)
    if "*" in figure:
        names, few, missing = [_form(wanted, name) for name in names], 1, "no figure of this form"
    near = _near(wanted, list(dict.fromkeys(names)), few)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"this comparison has {missing}{hint}"


def _near(wanted: str, names: list[str], few: int) -> list[str]:
    """What only lacks its end; else names alike, of the same kind where there is such a kind."""
    if longer := [name for name in names if name.startswith(f"{wanted}.")]:
        return longer[:few]
    kind = segments(wanted)[:1]
    same = [name for name in names if segments(name)[:1] == kind]
    return difflib.get_close_matches(wanted, same or names, n=few, cutoff=0.6)


def _form(wanted: str, name: str) -> str:
    """A figure's name with ``*`` where ``wanted`` has one that fits it; in any case for a value."""
    asked, there = segments(wanted), segments(name)
    if len(asked) != len(there):
        return ".".join("*" if "=" in segment else segment for segment in there)
    return ".".join(
        mine if segment_pattern(mine).fullmatch(plain_segment(its)) else its
        for mine, its in zip(asked, there, strict=True)
    )


def _with_k(figure: str, names: Iterable[str], k: int) -> str:
    parts = {part for name in names for part in segments(name)}
    return ".".join(f"{part}@{k}" if f"{part}@{k}" in parts else part for part in segments(figure))
