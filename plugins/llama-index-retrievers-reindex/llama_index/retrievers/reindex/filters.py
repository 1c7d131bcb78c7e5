"""LlamaIndex's `MetadataFilters` -> the condition that a reindex search takes.

What says more than a condition can is refused: left out silently, it would find too much.
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

from reindex.connection.filters import Where, all_of, any_of, none_of
from reindex.errors import FilterRefused

_BOUNDS: Final = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}
_JOINED: Final[dict[FilterCondition, Callable[..., Where]]] = {
    FilterCondition.AND: all_of,
    FilterCondition.OR: any_of,
    FilterCondition.NOT: none_of,
}
_CAN: Final = (
    "Expected ==, !=, in, nin, any, all, contains, is_empty, >, >=, < and <= with texts, numbers "
    "or booleans, joined by AND, OR and NOT. For more, filter the nodes that come back, or store a "
    "field that says it plainly."
)


def where_of(filters: MetadataFilters | None) -> Where | None:
    """The condition, or None where there is nothing to filter by.

    Keys are Qdrant's JSON paths, as in LlamaIndex's own Qdrant store: ``a.b`` is ``b`` within
    ``a``. A condition on a list holds where it holds for one of its elements, ``!=`` and ``nin``
    where it holds for none; of a node without the field they do not hold, as in LlamaIndex's own
    stores. NOT: none of them holds, the field may be missing.

    Raises:
        FilterRefused: an operator or a value that a search cannot express.
    """
    if filters is None:
        return None
    if not isinstance(filters, MetadataFilters):
        raise FilterRefused(f"Expected MetadataFilters, got {type(filters).__name__}.")
    return _whole(filters) or None


def _whole(filters: MetadataFilters) -> Where:
    parts = [part for part in map(_part, filters.filters) if part]
    return _JOINED[filters.condition or FilterCondition.AND](*parts) if parts else {}


def _part(item: MetadataFilter | MetadataFilters) -> Where:
    if isinstance(item, MetadataFilters):
        return _whole(item)
    operator, value = item.operator or FilterOperator.EQ, item.value
    if operator in _BOUNDS:
        if isinstance(value, str | list) or value is None:
            raise _refused(item, "a range needs a number; store a date as its timestamp")
        return {item.key: {_BOUNDS[operator]: value}}
    if operator == FilterOperator.IS_EMPTY:
        return {item.key: {"empty": True}}
    if operator == FilterOperator.ALL and isinstance(value, list) and value:
        return all_of(*({item.key: one} for one in value))
    if operator in (FilterOperator.NE, FilterOperator.NIN):
        return {item.key: {"empty": False}, "$not": {item.key: _wanted(item, operator)}}
    return {item.key: _wanted(item, operator)}


def _wanted(item: MetadataFilter, operator: FilterOperator) -> Any:
    """A value, or a list of which one is wanted."""
    value = item.value
    if operator in (FilterOperator.IN, FilterOperator.NIN):
        return value if isinstance(value, list) else _split(item)
    if operator == FilterOperator.ANY and isinstance(value, list):
        return value
    of_one = (FilterOperator.EQ, FilterOperator.NE, FilterOperator.CONTAINS)
    if operator in of_one and isinstance(value, str | int | float):
        return value
    raise _refused(item, "no search can express it")


def _split(item: MetadataFilter) -> list[str]:
    """``"a,b"`` are two values, as LlamaIndex's own Qdrant store has it."""
    if item.value is None:
        raise _refused(item, f"{item.operator.value} needs a list")
    return str(item.value).split(",")


def _refused(item: MetadataFilter, why: str) -> FilterRefused:
    return FilterRefused(f"filter {item.key!r} {item.operator.value} {item.value!r}: {why}. {_CAN}")
