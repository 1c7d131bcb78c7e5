"""Haystack's filters as conditions of a search."""

from __future__ import annotations

from typing import Any

import pytest
from haystack.errors import FilterError

from haystack_integrations.document_stores.reindex.filters import to_where


def at(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


def every(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"operator": "AND", "conditions": list(conditions)}


def some(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"operator": "OR", "conditions": list(conditions)}


def none(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"operator": "NOT", "conditions": list(conditions)}


@pytest.mark.parametrize(
    ("filters", "where"),
    [
        (None, None),
        ({}, None),
        (at("meta.topic", "==", "lists"), {"meta.topic": "lists"}),
        (at("topic", "==", "lists"), {"meta.topic": "lists"}),
        (at("id", "==", "d1"), {"id": "d1"}),
        (at("meta.a.b", "==", True), {"meta.a.b": True}),
        (at("meta.topic", "in", ["lists", "sets"]), {"meta.topic": ["lists", "sets"]}),
        (at("meta.topic", "in", []), {"meta.topic": []}),
        (at("meta.year", ">=", 2020), {"meta.year": {"gte": 2020}}),
        (every(at("meta.year", ">=", 2020), at("meta.year", "<", 2024)),
         {"meta.year": {"gte": 2020, "lt": 2024}}),
        (every(at("meta.year", ">", 1), every(at("meta.year", ">", 3), at("meta.year", "<=", 9),
                                             at("meta.year", "<=", 7))),
         {"meta.year": {"gt": 1},
          "$and": [{"meta.year": {"gt": 3, "lte": 9}}, {"meta.year": {"lte": 7}}]}),
        (every(at("meta.year", "in", [1, "x"]), at("meta.year", ">=", 2)),
         {"$and": [{"meta.year": [1, "x"]}, {"meta.year": {"gte": 2}}]}),
        (every(at("meta.a", "==", 1), at("meta.a", "==", True)),
         {"$and": [{"meta.a": 1}, {"meta.a": True}]}),
        (at("meta.a", "!=", 1), {"$not": {"meta.a": 1}}),
        (at("meta.a", "not in", [1, 2]), {"$not": {"meta.a": [1, 2]}}),
        (at("meta.a", "==", None), {"meta.a": {"empty": True}}),
        (at("meta.a", "!=", None), {"meta.a": {"empty": False}}),
        (none(at("meta.a", "==", 1)), {"$not": {"meta.a": 1}}),
        (none(at("meta.a", "==", 1), some(at("meta.b", ">", 1), at("meta.c", "==", 2))),
         {"$not": {"meta.a": 1, "$or": [{"meta.b": {"gt": 1}}, {"meta.c": 2}]}}),
        (some(at("meta.a", "==", 1), at("meta.a", ">", 1)),
         {"$or": [{"meta.a": 1}, {"meta.a": {"gt": 1}}]}),
        (every(at("meta.a", "==", 1), at("meta.b", "==", 2)), {"meta.a": 1, "meta.b": 2}),
        (some(at("meta.a", "==", 1), at("meta.a", "in", [2, 3])), {"meta.a": [1, 2, 3]}),
    ],
)  # fmt: skip
def test_what_can_be_said_is_said(filters: Any, where: Any) -> None:
    assert to_where(filters) == where


@pytest.mark.parametrize(
    ("meta", "field"), [("", "topic"), ("metadata.", "metadata.topic"), ("meta.", "meta.topic")]
)
def test_meta_lies_where_the_payloads_have_it(meta: str, field: str) -> None:
    assert to_where(at("meta.topic", "==", "lists"), meta) == {field: "lists"}


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        (at("meta.a", "in", [None]), "cannot look for None.*filter_documents"),
        (some(), "or empty"),
        (at("meta.a", "==", [1]), r"cannot look for \[1\]"),
        (at("meta.a", "in", 1), "list as the value of 'in', got 1"),
        (at("meta.date", ">", "2020-01-01"), "got '2020-01-01'.*dates.*as numbers"),
        (at("meta.a", ">", True), "Expected a number"),
        (at("meta.a", "~", 1), "Unknown comparison operator '~'"),
        (
            {"operator": "XOR", "conditions": [at("meta.a", "==", 1)]},
            "Unknown logical operator 'XOR'",
        ),
        ({"field": "meta.a", "value": 1}, "'operator' key missing"),
        ({"field": "meta.a", "operator": "=="}, "'value' key missing"),
        ({"operator": "AND"}, "'conditions' key missing"),
        ({"topic": "lists"}, "'operator' key missing"),
        ("topic", "Expected a filter as a dictionary"),
        (every("topic"), "Expected a filter as a dictionary"),  # type: ignore[arg-type]
        (at("", "==", 1), "name of a field"),
    ],
)
def test_what_cannot_be_said_is_refused(filters: Any, told: str) -> None:
    with pytest.raises(FilterError, match=told):
        to_where(filters)
