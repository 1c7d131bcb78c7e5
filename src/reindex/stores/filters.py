"""`Condition` -> clauses that a store compiles into its engine's own filter."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reindex.errors import FilterRefused
from reindex.records import Condition

RANGE_OPERATORS = ("gt", "gte", "lt", "lte")
Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Equal:
    """The field holds ``value`` (a str, int or bool; floats become a `Between`)."""

    key: str
    value: str | int | bool


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field holds one of the values, all str or all int; with none, nothing matches."""

    key: str
    values: list[str] | list[int]


@dataclass(frozen=True, slots=True)
class Between:
    """The field's number lies within the bounds (operator -> bound)."""

    key: str
    bounds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Empty:
    """The field is not there, or holds null or an empty list."""

    key: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of the clauses holds."""

    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of the clauses hold."""

    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The clause does not hold; for a field that is not there, too."""

    clause: Clause


FieldClause = Equal | OneOf | Between | Empty
Clause = FieldClause | AnyOf | AllOf | Not

_LARGEST = 2**63
"""Integers are of 64 bits in every engine."""

DEEPEST = 16
"""Conditions within conditions: more than anybody writes, few enough for every engine."""


_STEP = r'(?:"[^"]+"|[\w-]+)(?:\[\d*\])*'
_PATH = re.compile(rf"{_STEP}(?:\.{_STEP})*")


def clauses(where: Condition) -> list[Clause]:
    """All of these must hold.

    Keys are Qdrant's JSON paths: ``meta.year`` is ``year`` within ``meta``; a key that itself has
    a dot, or begins with ``$``, is quoted (``"a.b"``).

    Raises:
        FilterRefused: an operator or a value that no store can compile; names the allowed ones.
    """
    return _clauses(where, 1)


def _clauses(where: Any, depth: int) -> list[Clause]:
    if not isinstance(where, Mapping) or (depth > 1 and not where):
        raise FilterRefused(
            f"filter: cannot use {where!r} as a condition. Expected a mapping: field -> value."
        )
    if depth > DEEPEST:
        raise FilterRefused(f"filter: more than {DEEPEST} conditions lie within each other.")
    return [
        _joined(key, wanted, depth) if key.startswith("$") else _clause(_path(key), wanted)
        for key, wanted in where.items()
    ]


def _path(key: str) -> str:
    if _PATH.fullmatch(key):
        return key
    raise FilterRefused(
        f"filter: the field {key!r} is no JSON path. Expected names of letters, digits, _ and - "
        'joined by dots, such as meta.year; any other name in quotes: "a b".'
    )


def _joined(word: str, wanted: Any, depth: int) -> Clause:
    if word == "$not":
        return Not(_whole(wanted, depth))
    if word not in ("$or", "$and") or not isinstance(wanted, list | tuple) or not wanted:
        raise FilterRefused(
            f"filter: cannot use {word!r} with {wanted!r}. Expected $or or $and with a list of "
            'conditions, or $not with one; a field of such a name in quotes: "$or".'
        )
    several = tuple(_whole(one, depth) for one in wanted)
    return AnyOf(several) if word == "$or" else AllOf(several)


def _whole(where: Any, depth: int) -> Clause:
    """A condition within another, as one clause."""
    found = _clauses(where, depth + 1)
    return found[0] if len(found) == 1 else AllOf(tuple(found))


def _clause(key: str, wanted: Any) -> Clause:
    if isinstance(wanted, Mapping):
        return _empty(key, wanted) if "empty" in wanted else _between(key, wanted)
    if isinstance(wanted, list | tuple | set | frozenset):
        return _any_of(key, list(wanted))
    return _equal(key, wanted)


def _empty(key: str, wanted: Mapping[str, Any]) -> Empty | Not:
    if len(wanted) > 1 or not isinstance(wanted["empty"], bool):
        raise _refused(key, dict(wanted))
    return Empty(key) if wanted["empty"] else Not(Empty(key))


def _equal(key: str, value: Any) -> Equal | Between:
    if isinstance(value, float) and math.isfinite(value):
        return Between(key, {"gte": value, "lte": value})  # Qdrant matches no floats, but a range
    if isinstance(value, str) or (isinstance(value, int) and -_LARGEST <= value < _LARGEST):
        return Equal(key, value)
    raise _refused(key, value)


def _any_of(key: str, values: list[Any]) -> OneOf | AnyOf:
    several = tuple(_equal(key, value) for value in values)
    if all(type(value) is str for value in values) or all(type(value) is int for value in values):
        return OneOf(key, values)
    return AnyOf(several)


def _between(key: str, wanted: Mapping[str, Any]) -> Between:
    numbers = all(map(_is_number, wanted.values()))
    if not wanted or not numbers or not set(wanted) <= set(RANGE_OPERATORS):
        raise _refused(key, dict(wanted))
    return Between(key, {operator: float(bound) for operator, bound in wanted.items()})


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 10**300


def _refused(key: str, value: Any) -> FilterRefused:
    return FilterRefused(
        f"filter on {key!r}: cannot use {value!r}. Expected a string, number or boolean (equal), "
        f"a list of them (any of), a number under {', '.join(RANGE_OPERATORS)} (range), or "
        '{"empty": true}.'
    )
