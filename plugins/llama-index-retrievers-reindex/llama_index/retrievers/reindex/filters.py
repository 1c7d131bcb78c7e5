"""LlamaIndex's `MetadataFilters` -> the condition that a reindex search takes.

A condition is a conjunction over fields, each of which equals a value, is one of several, or lies
within bounds. What says more than that is refused: left out silently, it would find too much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from reindex.errors import FilterRefused

Where = dict[str, Any]

_BOUNDS: Final = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}
_TIGHTER: Final[dict[str, Callable[[float, float], float]]] = {
    "gt": max, "gte": max, "lt": min, "lte": min,
}  # fmt: skip
_CAN: Final = (
    "Expected ==, in, any, contains, >, >=, < and <=, joined by AND; or an OR of == and in on one "
    "field. For more, filter the nodes that come back, or store a field that says it plainly."
)


def where_of(filters: MetadataFilters | None) -> Where | None:
    """The condition, or None where there is nothing to filter by.

    Keys are Qdrant's JSON paths, as in LlamaIndex's own Qdrant store: ``a.b`` is ``b`` within
    ``a``. A condition on a list holds where it holds for one of its elements.

    Raises:
        FilterRefused: an operator, a value or a combination that a search cannot express.
    """
    if filters is None:
        return None
    if not isinstance(filters, MetadataFilters):
        raise FilterRefused(f"Expected MetadataFilters, got {type(filters).__name__}.")
    return _whole(filters) or None


def joined(*conditions: Where | None) -> Where | None:
    """What fulfils all of them. Raises FilterRefused where two on one field cannot be joined."""
    whole: Where = {}
    for condition in conditions:
        for key, wanted in (condition or {}).items():
            whole[key] = _both(key, whole[key], wanted) if key in whole else wanted
    return whole or None


def _whole(filters: MetadataFilters) -> Where:
    parts = [_part(item) for item in filters.filters]
    parts = [part for part in parts if part]
    if filters.condition == FilterCondition.NOT:
        raise FilterRefused(f"filters joined by NOT cannot be searched with. {_CAN}")
    if filters.condition == FilterCondition.OR and len(parts) > 1:
        return _either(parts)
    return joined(*parts) or {}


def _part(item: MetadataFilter | MetadataFilters) -> Where:
    if isinstance(item, MetadataFilters):
        return _whole(item)
    return {item.key: _wanted(item)}


def _wanted(item: MetadataFilter) -> Any:
    operator, value = item.operator or FilterOperator.EQ, item.value
    if operator in _BOUNDS:
        if isinstance(value, str | list) or value is None:
            raise _refused(item, "a range needs a number; store a date as its timestamp")
        return {_BOUNDS[operator]: value}
    if operator == FilterOperator.IN:
        return value if isinstance(value, list) else _split(item)
    if operator == FilterOperator.ANY and isinstance(value, list):
        return value
    if operator in (FilterOperator.EQ, FilterOperator.CONTAINS) and _is_scalar(value):
        return value
    raise _refused(item, "no search can express it")


def _split(item: MetadataFilter) -> list[str]:
    """``"a,b"`` are two values, as LlamaIndex's own Qdrant store has it."""
    if item.value is None:
        raise _refused(item, "in needs a list")
    return str(item.value).split(",")


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float)


def _both(key: str, one: Any, other: Any) -> Any:
    if one == other:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            name: _TIGHTER[name](one.get(name, bound), other.get(name, bound))
            for name, bound in {**one, **other}.items()
        }
    raise FilterRefused(f"filters on {key!r}: both {one!r} and {other!r} are asked for. {_CAN}")


def _either(parts: list[Where]) -> Where:
    """An OR: several values of one field."""
    keys = {key for part in parts for key in part}
    values = [value for part in parts for value in part.values()]
    if len(keys) > 1 or any(isinstance(value, dict) for value in values):
        raise FilterRefused(f"filters joined by OR on {sorted(keys)}. {_CAN}")
    several = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return {keys.pop(): several}


def _refused(item: MetadataFilter, why: str) -> FilterRefused:
    return FilterRefused(f"filter {item.key!r} {item.operator.value} {item.value!r}: {why}. {_CAN}")
