"""A Qdrant filter as a `Condition`, where it says no more than one can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reindex.errors import FilterRefused
from reindex.records import Condition

_CLAUSES = ("must", "should", "must_not", "min_should")
_RANGE = ("gt", "gte", "lt", "lte")
_INSTEAD = (
    "Here all conditions must hold, each on a field of its own: a value, a list of which one must "
    "match, or a range of numbers. Filter what was found, or search the version's physical "
    "collection with the Qdrant client and that version's vectors."
)


def condition_of(filter: Any) -> Condition | None:
    """What ``where`` takes, from that itself, from a ``qdrant_client`` ``Filter`` or from its JSON.

    Raises:
        FilterRefused: the filter says what no `Condition` can, such as ``must_not``.
    """
    if filter is None:
        return None
    if hasattr(filter, "model_dump"):
        return _of_filter(filter.model_dump(mode="json", exclude_none=True))
    if not isinstance(filter, Mapping):
        raise FilterRefused(
            "Expected a mapping (field -> value, list or range) or a qdrant_client Filter, got "
            f"{type(filter).__name__}."
        )
    given = {name: value for name, value in filter.items() if value is not None}
    if given and set(given) <= set(_CLAUSES) and not isinstance(next(iter(given.values())), str):
        return _of_filter(given)
    return filter


def _of_filter(filter: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("must_not", "min_should"):
        if filter.get(name):
            raise FilterRefused(f"{name} in a filter cannot be translated. {_INSTEAD}")
    found: dict[str, Any] = {}
    for clause in _several(filter.get("must")):
        for key, wanted in _of_clause(clause).items():
            _join(found, key, wanted)
    for key, wanted in _alternatives(_several(filter.get("should"))).items():
        _join(found, key, wanted)
    return found


def _several(clauses: Any) -> list[Any]:
    if clauses is None:
        return []
    return clauses if isinstance(clauses, list) else [clauses]


def _of_clause(clause: Mapping[str, Any]) -> dict[str, Any]:
    if set(clause) & set(_CLAUSES):
        return _of_filter(clause)
    said = {name: value for name, value in clause.items() if value is not None and name != "key"}
    key = clause.get("key")
    if isinstance(key, str) and list(said) == ["match"]:
        return {key: _matched(said["match"])}
    if isinstance(key, str) and list(said) == ["range"]:
        return {key: _range(key, said["range"])}
    raise FilterRefused(f"The condition {dict(clause)!r} cannot be translated. {_INSTEAD}")


def _matched(match: Mapping[str, Any]) -> Any:
    for name in ("value", "any"):
        if list(match) == [name]:
            return match[name]
    raise FilterRefused(f"The match {dict(match)!r} cannot be translated. {_INSTEAD}")


def _range(key: str, bounds: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    numbers = all(isinstance(bound, int | float) for bound in given.values())
    if not given or not numbers or not set(given) <= set(_RANGE):
        raise FilterRefused(
            f"The range {given!r} on {key!r} cannot be translated: expected numbers. {_INSTEAD}"
        )
    return given


def _alternatives(clauses: list[Any]) -> dict[str, Any]:
    """One of them must hold: a list of values, where all are about one field."""
    if not clauses:
        return {}
    pairs = [pair for clause in clauses for pair in _of_clause(clause).items()]
    values: list[Any] = []
    for _, wanted in pairs:
        values += wanted if isinstance(wanted, list) else [wanted]
    one_each = len(pairs) == len(clauses)
    if not one_each or len({key for key, _ in pairs}) > 1 or any(map(_is_range, values)):
        raise FilterRefused(
            f"should over several fields or ranges cannot be translated. {_INSTEAD}"
        )
    return {pairs[0][0]: values if len(values) > 1 else values[0]}


def _is_range(value: Any) -> bool:
    return isinstance(value, Mapping)


def _join(found: dict[str, Any], key: str, wanted: Any) -> None:
    """Two ranges of a field become one; two other conditions on it have no form here."""
    there = found.get(key)
    if there is None:
        found[key] = wanted
    elif _is_range(there) and _is_range(wanted) and not set(there) & set(wanted):
        found[key] = {**there, **wanted}
    elif there != wanted:
        raise FilterRefused(f"Two conditions on {key!r} cannot be translated. {_INSTEAD}")
