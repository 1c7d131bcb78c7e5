"""Haystack's filters -> reindex's conditions (field -> value, values or range; all must hold)."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from haystack.errors import FilterError

RANGES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    ">": ("gt", operator.gt),
    ">=": ("gte", operator.ge),
    "<": ("lt", operator.lt),
    "<=": ("lte", operator.le),
}
"""Haystack's operator -> reindex's, and what it means."""

_HOLDS = dict(RANGES.values())
_NEGATIONS = ("!=", "not in", "NOT")
_CAN = (
    "A search can filter by ==, in, >, >=, <, <= with values that are strings, numbers or "
    "booleans, by AND, and by OR of == and in on one field. filter_documents() takes every filter."
)

Wanted = list[Any] | dict[str, float]
"""Of one field: the values of which it must hold one, or the bounds that it must lie within."""


def to_where(filters: Mapping[str, Any] | None, meta: str = "meta.") -> dict[str, Any] | None:
    """A filter as the condition of a search; None where there is none.

    Args:
        filters: as `haystack.document_stores.types.DocumentStore.filter_documents` has them.
        meta: where the payloads keep what Haystack calls ``meta.``; empty: at the top.

    Raises:
        FilterError: the filter is malformed, or says what no condition can say; names the part.
    """
    if not filters:
        return None
    found: dict[str, Wanted] = {}
    for field, wanted in _terms(filters, meta):
        found[field] = _both(found[field], wanted) if field in found else wanted
    return {
        field: wanted[0] if isinstance(wanted, list) and len(wanted) == 1 else wanted
        for field, wanted in found.items()
    }


def _terms(filters: Any, meta: str) -> list[tuple[str, Wanted]]:
    """All that must hold, a field at a time."""
    if not isinstance(filters, Mapping):
        raise FilterError(f"Expected a filter as a dictionary, got {filters!r}.")
    if "operator" not in filters:
        raise FilterError(f"'operator' key missing in {dict(filters)}. {_CAN}")
    name = filters["operator"]
    if name in _NEGATIONS:
        raise FilterError(f"A search cannot filter by {name!r}: {dict(filters)}. {_CAN}")
    if "field" in filters:
        return [_comparison(filters, meta)]
    conditions = filters.get("conditions")
    if not isinstance(conditions, list | tuple):
        raise FilterError(f"'conditions' key missing in {dict(filters)}, or no list.")
    parts = [term for part in conditions for term in _terms(part, meta)]
    if name == "AND":
        return parts
    if name == "OR":
        return [_one_of(parts, filters)]
    raise FilterError(f"Unknown logical operator {name!r}. Valid ones are AND, OR, NOT.")


def _one_of(parts: list[tuple[str, Wanted]], filters: Mapping[str, Any]) -> tuple[str, Wanted]:
    fields = {field for field, _ in parts}
    values = [value for _, wanted in parts if isinstance(wanted, list) for value in wanted]
    alike = all(isinstance(wanted, list) for _, wanted in parts)
    nested = any("conditions" in part for part in filters["conditions"])
    if len(fields) != 1 or not alike or nested:
        raise FilterError(f"A search cannot filter by this OR: {dict(filters)}. {_CAN}")
    return fields.pop(), values


def _comparison(filters: Mapping[str, Any], meta: str) -> tuple[str, Wanted]:
    if "value" not in filters:
        raise FilterError(f"'value' key missing in {dict(filters)}.")
    name, value, field = filters["operator"], filters["value"], _field(filters["field"], meta)
    if name == "==":
        return field, [_scalar(value, filters)]
    if name == "in":
        if not isinstance(value, list):
            raise FilterError(f"Expected a list as the value of 'in', got {value!r}.")
        return field, [_scalar(item, filters) for item in value]
    if name not in RANGES:
        raise FilterError(f"Unknown comparison operator {name!r} in {dict(filters)}. {_CAN}")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FilterError(
            f"Expected a number as the value of {name!r}, got {value!r}. A search compares no "
            "dates: store them as numbers too, say seconds since 1970, and filter by those."
        )
    return field, {RANGES[name][0]: value}


def _field(field: Any, meta: str) -> str:
    """``meta.topic`` and, as Haystack allows, ``topic`` alone, where the payloads have it."""
    if not isinstance(field, str) or not field:
        raise FilterError(f"Expected the name of a field, got {field!r}.")
    if field.startswith("meta."):
        return meta + field.removeprefix("meta.")
    return field if field in ("id", "content") else meta + field


def _scalar(value: Any, filters: Mapping[str, Any]) -> Any:
    if not isinstance(value, str | int | float):
        raise FilterError(f"A search cannot look for {value!r}: {dict(filters)}. {_CAN}")
    return value


def _both(one: Wanted, other: Wanted) -> Wanted:
    """What satisfies both, of one field."""
    if isinstance(one, list) and isinstance(other, list):
        return [value for value in one if any(_same(value, known) for known in other)]
    if isinstance(one, list):
        assert isinstance(other, dict)
        return [value for value in one if _within(value, other)]
    if isinstance(other, list):
        return _both(other, one)
    tighter = dict(one)
    for name, bound in other.items():
        known = tighter.get(name, bound)
        tighter[name] = max(known, bound) if name in ("gt", "gte") else min(known, bound)
    return tighter


def _same(one: Any, other: Any) -> bool:
    """True is not 1 here, as it is not in a payload."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _within(value: Any, bounds: Mapping[str, float]) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and all(_HOLDS[name](value, bound) for name, bound in bounds.items())
