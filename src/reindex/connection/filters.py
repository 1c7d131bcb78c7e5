"""Conditions put together, and a Qdrant filter as a `Condition` where it says no more than one can.

What frameworks' filters are translated with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reindex.errors import FilterRefused
from reindex.records import Condition

Where = dict[str, Any]

_CLAUSES = ("must", "should", "must_not", "min_should")
_RANGE = ("gt", "gte", "lt", "lte")
_INSTEAD = (
    "Here a condition on a field is a value, a list of which one must match, a range of numbers, "
    "or that it is empty; must, should and must_not join them. Filter what was found, or search "
    "the version's physical collection with the Qdrant client and that version's vectors."
)


def all_of(*conditions: Condition | None) -> Where:
    """What fulfils every one of them; empty where all are. Ranges of one field become one."""
    whole: Where = {}
    beside: list[Condition] = []
    for condition in filter(None, conditions):
        merged = {key: _both(whole.get(key, wanted), wanted) for key, wanted in condition.items()}
        if None in merged.values():
            beside.append(condition)
        else:
            whole |= merged
    parts = [whole, *beside] if whole else beside
    return {"$and": parts} if len(parts) > 1 else dict(parts[0] if parts else {})


def any_of(*conditions: Condition) -> Where:
    """What fulfils at least one of them, of which none is empty. Values of one field: a list."""
    keys = {key for condition in conditions for key in condition}
    values = [wanted for condition in conditions for wanted in condition.values()]
    if len(conditions) == 1:
        return dict(conditions[0])
    if len(keys) > 1 or any(map(_is_range, values)) or any(key.startswith("$") for key in keys):
        return {"$or": list(conditions)}
    listed = [item for one in values for item in (one if isinstance(one, list) else [one])]
    return {keys.pop(): listed}


def none_of(*conditions: Condition) -> Where:
    """What fulfils none of them; of a field that is not there, too."""
    return {"$not": any_of(*conditions)}


def _both(one: Any, other: Any) -> Any:
    """What says both of one field; None: no single condition does."""
    if repr(one) == repr(other):  # 1 is not true
        return one
    ranges = _is_range(one) and _is_range(other) and "empty" not in {*one, *other}
    return {**one, **other} if ranges and not set(one) & set(other) else None


def condition_of(filter: Any) -> Condition | None:
    """What ``where`` takes, from that itself, from a ``qdrant_client`` ``Filter`` or from its JSON.

    Raises:
        FilterRefused: the filter says what no `Condition` can, such as a match of words.
    """
    if filter is None:
        return None
    if hasattr(filter, "model_dump"):
        return _of_filter(filter.model_dump(mode="json", exclude_none=True)) or None
    if not isinstance(filter, Mapping):
        raise FilterRefused(
            "Expected a mapping (field -> value, list or range) or a qdrant_client Filter, got "
            f"{type(filter).__name__}."
        )
    given = {name: value for name, value in filter.items() if value is not None}
    if given and set(given) <= set(_CLAUSES) and not isinstance(next(iter(given.values())), str):
        return _of_filter(given) or None
    return filter


def _of_filter(filter: Mapping[str, Any]) -> Where:
    if filter.get("min_should"):
        raise FilterRefused(f"min_should in a filter cannot be translated. {_INSTEAD}")
    should, must_not = _several(filter.get("should")), _several(filter.get("must_not"))
    return all_of(
        *_several(filter.get("must")),
        any_of(*should) if should else None,
        none_of(*must_not) if must_not else None,
    )


def _several(clauses: Any) -> list[Where]:
    if clauses is None:
        return []
    return [_of_clause(clause) for clause in (clauses if isinstance(clauses, list) else [clauses])]


def _of_clause(clause: Mapping[str, Any]) -> Where:
    if set(clause) & set(_CLAUSES) and (found := _of_filter(clause)):
        return found
    said = {name: value for name, value in clause.items() if value is not None and name != "key"}
    key = clause.get("key")
    if isinstance(key, str) and list(said) == ["match"]:
        return {key: _matched(said["match"])}
    if isinstance(key, str) and list(said) == ["range"]:
        return {key: _range(key, said["range"])}
    if key is None and list(said) == ["is_empty"]:
        return {said["is_empty"]["key"]: {"empty": True}}
    raise FilterRefused(f"The condition {dict(clause)!r} cannot be translated. {_INSTEAD}")


def _matched(match: Mapping[str, Any]) -> Any:
    for name in ("value", "any"):
        if list(match) == [name]:
            return match[name]
    raise FilterRefused(f"The match {dict(match)!r} cannot be translated. {_INSTEAD}")


def _range(key: str, bounds: Mapping[str, Any]) -> Where:
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    numbers = all(isinstance(bound, int | float) for bound in given.values())
    if not given or not numbers or not set(given) <= set(_RANGE):
        raise FilterRefused(
            f"The range {given!r} on {key!r} cannot be translated: expected numbers. {_INSTEAD}"
        )
    return given


def _is_range(value: Any) -> bool:
    return isinstance(value, Mapping)
