"""Rows of a log -> searches. A log has a row per search, with lists, or a row per shown result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reindex.corpus.readers import Fields
from reindex.datasets.clicks import LoggedSearch, Shown
from reindex.datasets.forms import Roles, as_number
from reindex.datasets.rows import one_text
from reindex.registry.interactions import Interactions

_YES, _NO = {"1", "1.0", "true", "yes"}, {"", "0", "0.0", "false", "no", "none"}


@dataclass(slots=True)
class SearchRows:
    """Takes a log's rows one after another, and puts searches together."""

    roles: Roles
    searches: list[LoggedSearch] = field(default_factory=list)
    _open: dict[object, int] = field(default_factory=dict)

    def add(self, line: int, fields: Fields) -> None:
        """Take a row. Raises ValueError: it is bad."""
        query = one_text(fields, self.roles["query"])
        if "shown" in self.roles:
            self.searches.append(LoggedSearch(query, self._listed(fields), line))
        else:
            self._join(query, self._single(fields), fields, line)

    def _join(self, query: str, shown: Shown, fields: Fields, line: int) -> None:
        """To the row's search; without such a column, to the last one of the query, while ranks
        rise.
        """
        column = self.roles.get("search")
        key = (query, None if column is None else fields.get(column))
        known = self._open.get(key)
        last = None if known is None else self.searches[known]
        if last is None or (column is None and last.results[-1].position >= shown.position):
            self._open[key] = len(self.searches)
            self.searches.append(LoggedSearch(query, (shown,), line))
        else:
            self.searches[known or 0] = LoggedSearch(query, (*last.results, shown), last.line)

    def _single(self, fields: Fields) -> Shown:
        position = as_number(fields.get(self.roles["position"]))
        if position is None or position < 1 or not position.is_integer():
            found = fields.get(self.roles["position"])
            raise ValueError(
                f"{self.roles['position']} is {found!r}, expected a rank: 1 for the first result"
            )
        clicked = _flag(fields.get(self.roles["clicked"]))
        if clicked is None:
            found = fields.get(self.roles["clicked"])
            raise ValueError(f"{self.roles['clicked']} is {found!r}, expected 0 or 1")
        document = _document(fields.get(self.roles["document"]))
        return Shown(document, int(position), clicked, self._seconds(fields))

    def _seconds(self, fields: Fields) -> float | None:
        column = self.roles.get("dwell")
        return None if column is None else _as_seconds(fields.get(column), column)

    def _listed(self, fields: Fields) -> tuple[Shown, ...]:
        shown = [_document(item) for item in _list(fields, self.roles["shown"])]
        if not shown:
            raise ValueError(f"nothing in {self.roles['shown']}")
        clicked = _clicked(_list(fields, self.roles["clicked"]), shown)
        strange = next((item for item in clicked if item not in shown), None)
        if strange is not None:
            raise ValueError(f"clicked and not shown: {strange[:80]}")
        dwell = self._dwells(fields, shown, clicked)
        return tuple(
            Shown(document, rank, document in clicked, dwell.get(document))
            for rank, document in enumerate(shown, 1)
        )

    def _dwells(
        self, fields: Fields, shown: Sequence[str], clicked: Sequence[str]
    ) -> Mapping[str, float | None]:
        column = self.roles.get("dwell")
        value = None if column is None else _json(fields.get(column))
        if column is None or value in (None, ""):
            return {}
        if isinstance(value, Mapping):
            return {str(key): _as_seconds(item, column) for key, item in value.items()}
        values = value if isinstance(value, list) else [value]
        of = next((many for many in (clicked, shown) if len(many) == len(values)), None)
        if of is None:
            raise ValueError(
                f"{len(values)} values in {column}, expected one per clicked or per shown result"
            )
        return {key: _as_seconds(item, column) for key, item in zip(of, values, strict=True)}


def _json(value: Any) -> Any:
    """CSV has no lists: a text that looks like one is read as JSON."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value


def _list(fields: Fields, name: str) -> list[Any]:
    value = _json(fields.get(name))
    if value in (None, ""):
        return []
    if isinstance(value, list):
        return value
    if isinstance(value, str | int) and not isinstance(value, bool):
        return [value]
    raise ValueError(f"{name} is {type(value).__name__}, expected a list of documents")


def _clicked(values: list[Any], shown: Sequence[str]) -> list[str]:
    """The documents themselves, or a flag per shown one."""
    flags = [value in (0, 1) and not isinstance(value, str) for value in values]
    if values and all(flags) and len(values) == len(shown) and not {"0", "1"} & {*shown}:
        return [document for document, value in zip(shown, values, strict=True) if value]
    return [_document(value) for value in values]


def _document(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"a document is {value!r}, expected its id or its text")
    return str(value)


def _flag(value: Any) -> bool | None:
    text = str(value).strip().lower()
    return True if text in _YES else False if text in _NO else None


def _as_seconds(value: Any, column: str) -> float | None:
    if value in (None, ""):
        return None
    number = as_number(value)
    if number is None or not number >= 0:
        raise ValueError(f"{column} is {value!r}, expected seconds")
    return number / 1000 if column.lower().endswith("_ms") else number


_SQL = """
SELECT s.number, s.query, s.position, s.documents,
       (SELECT json_group_array(document) FROM feedback f
        WHERE f.search = s.id AND f.kind IN ('clicked', 'used') AND document IS NOT NULL),
       (SELECT grade FROM feedback f WHERE f.search = s.id AND f.kind = 'grade'
        ORDER BY f.number DESC LIMIT 1)
FROM searches s
WHERE s.query IS NOT NULL AND s.side != 'shadow' AND s.error IS NULL
ORDER BY s.number
"""
LIKED = 0.5
"""An answer's grade from which it was a good one, as in the verdict of a canary."""


def recorded_searches(interactions: Interactions) -> Iterator[LoggedSearch]:
    """The searches of a project whose queries were logged, with what was clicked or used.

    Where somebody found the whole answer bad, its clicks were made and satisfied nobody.
    """
    rows: Iterable[Sequence[Any]] = interactions.execute(_SQL)
    for number, query, first, documents, touched, grade in rows:
        clicked = {str(json.loads(item)) for item in json.loads(touched)}
        dwell = -1.0 if grade is not None and grade < LIKED else None  # below any min_dwell
        results = tuple(
            Shown(str(document), rank, str(document) in clicked, dwell)
            for rank, document in enumerate(json.loads(documents), first)
        )
        yield LoggedSearch(query, results, number)
