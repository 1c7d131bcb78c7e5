"""Which judged queries belong to which slice: by their own fields, and by their documents'."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from reindex.config.slicing import SliceSettings
from reindex.records import Judgements, Payload, Query

Members = dict[tuple[str, str], list[int]]
"""(field, value) -> positions among the judged queries, ascending."""

NONE = "(none)"
HEAD_TAIL = "popularity"


def slice_queries(
    judged: Judgements, payloads: Mapping[str, Payload], settings: SliceSettings
) -> Members:
    """Every slice of the settings with its queries; ``payloads`` are the relevant documents'.

    A query belongs to the value of its field, or to each where that is a list; by a document's
    field to the values of all its relevant documents. Numbers are cut into quantile bands where
    they have more than twice as many values as there are bands. Of a field's values those with
    the most queries count. A value that all queries share makes no slice.
    """
    members: Members = {}
    for field in settings.query_fields:
        found = [list(_values(query_fields(query), field)) for query in judged.queries]
        members |= _members(field, found, settings)
    for field in settings.document_fields:
        found = [
            list(dict.fromkeys(value for id in ids for value in _values(payloads.get(id), field)))
            for ids in _relevant(judged)
        ]
        members |= _members(f"document.{field}", found, settings)
    return {**members, **(_head_and_tail(judged) if settings.head_tail else {})}


def query_fields(query: Query) -> dict[str, Any]:
    """All that is known of a query."""
    return {"text": query.text, "group": query.group, **query.metadata}


def relevant_documents(judged: Judgements) -> list[str]:
    """The documents that are relevant to any query, sorted."""
    return sorted({id for ids in _relevant(judged) for id in ids})


def _relevant(judged: Judgements) -> Iterator[list[str]]:
    for query in judged.queries:
        grades = judged.qrels.get(query.id, {})
        yield [document for document, grade in grades.items() if grade >= 1]


def _values(fields: Mapping[str, Any] | None, field: str) -> Iterator[Any]:
    """What a field holds: nothing gives `NONE`, a list each of its items."""
    counted = field.startswith("len(")
    found: Any = fields or {}
    for key in field.removeprefix("len(").removesuffix(")").split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    if counted:
        found = len(found.split()) if isinstance(found, str) else None
    items = found if isinstance(found, list | tuple) else [found]
    for item in items or [None]:
        yield NONE if item is None or item == "" else item


def _members(field: str, found: Sequence[Sequence[Any]], settings: SliceSettings) -> Members:
    label = _labels([value for values in found for value in values], settings.bands)
    members: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for position, values in enumerate(found):
        for value in dict.fromkeys(label[_key(value)] for value in values):
            members[field, value].append(position)
    if len(members) < 2 and NONE not in {value for _, value in members}:
        return {}  # what all queries share is no part of them
    largest = sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))
    kept = dict(largest[: settings.max_values])
    return {key: positions for key, positions in members.items() if key in kept}


def _key(value: Any) -> Any:
    """Values that are equal to Python and not to people (1 and true) stay apart."""
    return (type(value).__name__, str(value))


def _labels(values: Iterable[Any], bands: int) -> dict[Any, str]:
    """The slice's name of each value: the value itself, or its band."""
    distinct = {_key(value): value for value in values}
    counts = Counter(_key(value) for value in values)
    numbers = {
        key: float(value)
        for key, value in distinct.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    labels = {key: _plain(value) for key, value in distinct.items()}
    if len(numbers) <= 2 * bands:
        return labels
    weighted = np.repeat(list(numbers.values()), [counts[key] for key in numbers])
    edges = np.unique(np.quantile(weighted, np.linspace(0, 1, bands + 1)[1:-1]))
    place = {key: int(np.searchsorted(edges, number)) for key, number in numbers.items()}
    for band in set(place.values()):
        within = [numbers[key] for key, at in place.items() if at == band]
        name = f"{min(within):g}-{max(within):g}"
        labels |= {key: name for key, at in place.items() if at == band}
    return labels


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else " ".join(str(value).split())[:80]


def _head_and_tail(judged: Judgements) -> Members:
    """Head: queries for documents that are relevant most often and make up half of all pairs.

    There are none where every document is relevant equally often.
    """
    asked = Counter(id for ids in _relevant(judged) for id in ids)
    if len(set(asked.values())) < 2:
        return {}
    head, covered = set(), 0
    for document, times in sorted(asked.items(), key=lambda item: (-item[1], item[0])):
        if 2 * covered >= asked.total():
            break
        head.add(document)
        covered += times
    found = [head.isdisjoint(ids) for ids in _relevant(judged)]
    sides = (("head", False), ("tail", True))
    return {
        (HEAD_TAIL, name): positions
        for name, tail in sides
        if (positions := [at for at, is_tail in enumerate(found) if is_tail == tail])
    }
