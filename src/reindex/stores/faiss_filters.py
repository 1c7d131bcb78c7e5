"""Filter clauses -> SQL over payloads kept as JSON text."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from reindex.errors import FilterRefused
from reindex.records import Condition
from reindex.stores.filters import (
    AllOf,
    AnyOf,
    Between,
    Clause,
    Empty,
    Equal,
    Not,
    OneOf,
    clauses,
)

_STEP = re.compile(r'"(?P<quoted>[^"]+)"|(?P<plain>[^."\[\]]+)')
_TYPES = {str: "'text'", int: "'integer'"}
_COMPARE = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

Sql = tuple[str, list[Any]]


def compile_filter(name: str, where: Condition) -> Sql:
    """A condition on the column ``payload`` that holds where all clauses do, and its parameters.

    As in Qdrant, a clause holds for a list where it holds for one of its elements.

    Raises:
        FilterRefused: a value that no store can compile, or a key that is no path here.
    """
    return _joined(" AND ", [_sql(name, clause) for clause in clauses(where)])


def _joined(word: str, parts: Sequence[Sql]) -> Sql:
    """Halves of halves: SQLite takes no expression that is deeper than 1,000."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    (one, its), (other, others) = _joined(word, parts[:half]), _joined(word, parts[half:])
    return f"({one}{word}{other})", [*its, *others]


def _sql(name: str, clause: Clause) -> Sql:
    match clause:
        case AnyOf(several):
            return _joined(" OR ", [_sql(name, one) for one in several])
        case AllOf(several):
            return _joined(" AND ", [_sql(name, one) for one in several])
        case Not(one):
            sql, given = _sql(name, one)
            return f"NOT coalesce({sql}, 0)", given
        case Empty(key):
            path = _path(name, key)
            empty = "coalesce(json_type(payload, ?), 'null') = 'null' OR payload -> ? = '[]'"
            return f"({empty})", [path, path]
        case _:
            return _of_values(name, clause)


def _of_values(name: str, clause: Equal | OneOf | Between) -> Sql:
    match clause:
        case Equal(key, bool() as value):
            return _exists(name, key, f"type = '{json.dumps(value)}'", [])
        case Equal(key, value):
            return _exists(name, key, f"type = {_TYPES[type(value)]} AND value = ?", [value])
        case OneOf(_, []):
            return "0", []
        case OneOf(key, values):
            of_type = f"type = {_TYPES[type(values[0])]}"
            listed = "value IN (SELECT value FROM json_each(?))"
            return _exists(name, key, f"{of_type} AND {listed}", [json.dumps(values)])
        case Between(key, bounds):
            tests = [f"value {_COMPARE[operator]} ?" for operator in bounds]
            numeric = "type IN ('integer', 'real')"
            return _exists(name, key, " AND ".join([numeric, *tests]), list(bounds.values()))


def _exists(name: str, key: str, condition: str, given: list[Any]) -> Sql:
    """``json_each`` gives a list's elements, a plain value itself, and an object's members, which
    do not count.
    """
    path = _path(name, key)
    sql = (
        "(json_type(payload, ?) <> 'object' AND "
        f"EXISTS (SELECT 1 FROM json_each(payload, ?) WHERE {condition}))"
    )
    return sql, [path, path, *given]


def _path(name: str, key: str) -> str:
    """``meta.year`` and ``"a.b"`` as SQLite's JSON path; ``tags[]`` is ``tags``."""
    rest, steps = key.removesuffix("[]"), []
    while found := _STEP.match(rest):
        steps.append(found["quoted"] or found["plain"])
        rest = rest[found.end() :]
        if not rest:
            return "$" + "".join(f'."{step}"' for step in steps)
        if not rest.startswith("."):
            break
        rest = rest[1:]
    raise FilterRefused(
        f"collection {name!r}: the filter's field {key!r} is no JSON path that this store takes: "
        'names joined by dots, such as meta.year, a name with a dot in quotes: "a.b".'
    )
