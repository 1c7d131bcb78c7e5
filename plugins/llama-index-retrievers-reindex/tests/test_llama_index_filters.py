"""LlamaIndex's filters as conditions of a search."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from llama_index.retrievers.reindex import where_of
from reindex.errors import FilterRefused

Op = FilterOperator


def of(key: str, operator: FilterOperator, value: Any) -> MetadataFilter:
    return MetadataFilter(key=key, operator=operator, value=value)


def filters(*parts: Any, condition: FilterCondition = FilterCondition.AND) -> MetadataFilters:
    return MetadataFilters(filters=list(parts), condition=condition)


EITHER, NOT = FilterCondition.OR, FilterCondition.NOT


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (filters(), None),
        (filters(filters()), None),
        (filters(of("a", Op.EQ, "x")), {"a": "x"}),
        (filters(of("a", Op.EQ, 1.5)), {"a": 1.5}),
        (filters(of("a", Op.EQ, 1), of("b.c", Op.IN, ["x", "y"])), {"a": 1, "b.c": ["x", "y"]}),
        (filters(of("a", Op.IN, "x,y")), {"a": ["x", "y"]}),
        (filters(of("a", Op.IN, [])), {"a": []}),
        (filters(of("a", Op.ANY, ["x", "y"])), {"a": ["x", "y"]}),
        (filters(of("a", Op.CONTAINS, "x")), {"a": "x"}),
        (filters(of("a", Op.GT, 1), of("a", Op.LTE, 3)), {"a": {"gt": 1, "lte": 3}}),
        (
            filters(of("a", Op.GTE, 1), of("a", Op.GTE, 2)),
            {"$and": [{"a": {"gte": 1}}, {"a": {"gte": 2}}]},
        ),
        (filters(of("a", Op.NE, "x")), {"a": {"empty": False}, "$not": {"a": "x"}}),
        (filters(of("a", Op.NIN, ["x"])), {"a": {"empty": False}, "$not": {"a": ["x"]}}),
        (filters(of("a", Op.NIN, "x,y")), {"a": {"empty": False}, "$not": {"a": ["x", "y"]}}),
        (filters(of("a", Op.ALL, ["x", "y"])), {"$and": [{"a": "x"}, {"a": "y"}]}),
        (filters(of("a", Op.IS_EMPTY, None)), {"a": {"empty": True}}),
        (filters(of("a", Op.EQ, 1), of("a", Op.GT, 2)), {"$and": [{"a": 1}, {"a": {"gt": 2}}]}),
        (
            filters(of("a", Op.EQ, 1), of("b", Op.EQ, 2), condition=EITHER),
            {"$or": [{"a": 1}, {"b": 2}]},
        ),
        (
            filters(of("a", Op.LT, 1), of("a", Op.GT, 2), condition=EITHER),
            {"$or": [{"a": {"lt": 1}}, {"a": {"gt": 2}}]},
        ),
        (filters(of("a", Op.EQ, 1), condition=NOT), {"$not": {"a": 1}}),
        (filters(filters(), condition=NOT), None),
        (
            filters(of("a", Op.GT, 1), filters(of("b", Op.EQ, 1), condition=NOT), condition=NOT),
            {"$not": {"$or": [{"a": {"gt": 1}}, {"$not": {"b": 1}}]}},
        ),
        (filters(of("a", Op.EQ, 1), filters(of("a", Op.EQ, 1))), {"a": 1}),
        (filters(of("a", Op.EQ, 1), filters(of("b", Op.EQ, 2))), {"a": 1, "b": 2}),
        (
            filters(of("a", Op.EQ, 1), of("a", Op.IN, [2, 3]), condition=EITHER),
            {"a": [1, 2, 3]},
        ),
        (filters(of("a", Op.GT, 1), condition=EITHER), {"a": {"gt": 1}}),
    ],
)
def test_what_can_be_expressed(given: MetadataFilters | None, expected: object) -> None:
    assert where_of(given) == expected


def test_a_dict_is_no_filter() -> None:
    with pytest.raises(FilterRefused, match="Expected MetadataFilters, got dict"):
        where_of({"a": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (filters(of("a", Op.TEXT_MATCH, "x")), "'a' text_match"),
        (filters(filters(of("a", Op.NE, None))), "'a' != None"),
        (filters(of("a", Op.NIN, None)), "nin needs a list"),
        (filters(of("a", Op.ALL, "x")), "'a' all"),
        (filters(of("a", Op.EQ, None)), "'a' == None"),
        (filters(of("a", Op.EQ, ["x"])), r"'a' == \['x'\]"),
        (filters(of("a", Op.IN, None)), "'a' in None"),
        (filters(of("date", Op.GT, "2024-01-01")), "its timestamp"),
    ],
)
def test_what_cannot_be_expressed_is_refused(given: MetadataFilters, named: str) -> None:
    with pytest.raises(FilterRefused, match=named) as raised:
        where_of(given)
    assert "Expected ==, !=, in" in str(raised.value)
