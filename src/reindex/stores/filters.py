"""`Condition` -> clauses that a store compiles into its engine's own filter."""

from __future__ import annotations

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
class AnyOf:
    """One of the clauses holds (values of mixed types)."""

    clauses: tuple[Equal | Between, ...]


Clause = Equal | OneOf | Between | AnyOf


def clauses(where: Condition) -> list[Clause]:
    """All of these must hold.

    Keys are Qdrant's JSON paths: ``meta.year`` is ``year`` within ``meta``; a key that itself has
    a dot is quoted (``"a.b"``).

    Raises:
        FilterRefused: an operator or a value that no store can compile; names the allowed ones.
    """
    return [_clause(key, wanted) for key, wanted in where.items()]


def _clause(key: str, wanted: Any) -> Clause:
    if isinstance(wanted, Mapping):
        return _between(key, wanted)
    if isinstance(wanted, list | tuple | set | frozenset):
        return _any_of(key, list(wanted))
    return _equal(key, wanted)


def _equal(key: str, value: Any) -> Equal | Between:
    if isinstance(value, float):  # Qdrant matches no floats, but a range of one value
        return Between(key, {"gte": value, "lte": value})
    if isinstance(value, str | int):
        return Equal(key, value)
    raise _refused(key, value)


def _any_of(key: str, values: list[Any]) -> OneOf | AnyOf:
    if all(type(value) is str for value in values) or all(type(value) is int for value in values):
        return OneOf(key, values)
    return AnyOf(tuple(_equal(key, value) for value in values))


def _between(key: str, wanted: Mapping[str, Any]) -> Between:
    numbers = all(isinstance(n, int | float) and not isinstance(n, bool) for n in wanted.values())
    if not wanted or not numbers or not set(wanted) <= set(RANGE_OPERATORS):
        raise _refused(key, dict(wanted))
    return Between(key, {operator: float(bound) for operator, bound in wanted.items()})


def _refused(key: str, value: Any) -> FilterRefused:
    return FilterRefused(
        f"filter on {key!r}: cannot use {value!r}. Expected a string, number or boolean (equal), "
        f"a list of them (any of), or a number under {', '.join(RANGE_OPERATORS)} (range)."
    )
