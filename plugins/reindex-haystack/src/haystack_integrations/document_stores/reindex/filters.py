"""Haystack's filters -> reindex's conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from haystack.errors import FilterError

from reindex.connection.filters import Where, all_of, any_of

RANGES = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
"""Haystack's operator -> reindex's."""

JOINED: dict[str, Callable[..., Where]] = {
    "AND": all_of,
    "OR": any_of,
    "NOT": lambda *conditions: {"$not": all_of(*conditions)},
}
"""NOT as `haystack.utils.filters.document_matches_filter` has it: not all of them hold."""

_CAN = (
    "A search can filter by ==, !=, in, not in with strings, numbers and booleans, by == and != "
    "with None, by >, >=, <, <= with numbers, and by AND, OR, NOT. filter_documents() takes every "
    "filter."
)


def to_where(filters: Mapping[str, Any] | None, meta: str = "meta.") -> Where | None:
    """A filter as the condition of a search; None where there is none.

    Args:
        filters: as `haystack.document_stores.types.DocumentStore.filter_documents` has them.
        meta: where the payloads keep what Haystack calls ``meta.``; empty: at the top.

    Raises:
        FilterError: the filter is malformed, or says what no condition can say; names the part.
    """
    return _condition(filters, meta) if filters else None


def _condition(filters: Any, meta: str) -> Where:
    if not isinstance(filters, Mapping):
        raise FilterError(f"Expected a filter as a dictionary, got {filters!r}.")
    if "operator" not in filters:
        raise FilterError(f"'operator' key missing in {dict(filters)}. {_CAN}")
    if "field" in filters:
        return _comparison(filters, meta)
    name, conditions = filters["operator"], filters.get("conditions")
    if not isinstance(conditions, list | tuple) or not conditions:
        raise FilterError(f"'conditions' key missing in {dict(filters)}, or no list, or empty.")
    if name not in JOINED:
        raise FilterError(f"Unknown logical operator {name!r}. Valid ones are AND, OR, NOT.")
    return JOINED[name](*(_condition(part, meta) for part in conditions))


def _comparison(filters: Mapping[str, Any], meta: str) -> Where:
    if "value" not in filters:
        raise FilterError(f"'value' key missing in {dict(filters)}.")
    name, value, field = filters["operator"], filters["value"], _field(filters["field"], meta)
    if name in RANGES:
        return {field: {RANGES[name]: _number(value, name)}}
    if name in ("==", "!=") and value is None:
        return {field: {"empty": name == "=="}}
    if name in ("==", "!="):
        wanted = {field: _scalar(value, filters)}
    elif name in ("in", "not in"):
        wanted = {field: _scalars(value, filters)}
    else:
        raise FilterError(f"Unknown comparison operator {name!r} in {dict(filters)}. {_CAN}")
    return wanted if name in ("==", "in") else {"$not": wanted}


def _field(field: Any, meta: str) -> str:
    """``meta.topic`` and, as Haystack allows, ``topic`` alone, where the payloads have it."""
    if not isinstance(field, str) or not field:
        raise FilterError(f"Expected the name of a field, got {field!r}.")
    if field.startswith("meta."):
        return meta + field.removeprefix("meta.")
    return field if field in ("id", "content") else meta + field


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FilterError(
            f"Expected a number as the value of {name!r}, got {value!r}. A search compares no "
            "dates: store them as numbers too, say seconds since 1970, and filter by those."
        )
    return value


def _scalars(value: Any, filters: Mapping[str, Any]) -> list[Any]:
    if not isinstance(value, list):
        raise FilterError(
            f"Expected a list as the value of {filters['operator']!r}, got {value!r}."
        )
    return [_scalar(item, filters) for item in value]


def _scalar(value: Any, filters: Mapping[str, Any]) -> Any:
    if not isinstance(value, str | int | float):
        raise FilterError(f"A search cannot look for {value!r}: {dict(filters)}. {_CAN}")
    return value
