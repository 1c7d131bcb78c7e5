"""A run that changes nothing: converge on a store that forgets what is written to it.

So a rehearsal follows every rule of the real run, for it is the real run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

import numpy as np

from reindex.protocols import Store
from reindex.records import PayloadChange, Point, PointId, Stamp, StoredPoint, Vector

REV = 2**62
"""The rev of a run that starts now is greater than that of every write before."""

_REMEMBERED = 20_000
"""Points that still show their new stamp: a run reads back right after it wrote."""


@dataclass(frozen=True, slots=True)
class BlankEncoder:
    """Counts as the encoder of a space, and gives one and the same vector for every text."""

    space: str
    encoding: str
    dim: int

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32: the first axis."""
        vectors = np.zeros((len(texts), self.dim), np.float32)
        vectors[:, 0] = 1
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """As for documents."""
        return self.encode_documents(texts)


def rehearsal(store: Store) -> Store:
    """``store`` to read from; what is written shows for a while, and goes nowhere."""
    return cast("Store", _Rehearsal(store))


_READS = frozenset(("kind", "local", "info", "scroll", "missing_vectors"))


class _Rehearsal:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[PointId, StoredPoint | None] = {}
        self._added = 0

    def __getattr__(self, name: str) -> Any:
        if name not in _READS:
            raise AttributeError(f"a rehearsal does not {name}")
        return getattr(self._store, name)

    def insert(self, _name: str, points: Sequence[Point]) -> None:
        self._added += len(points)
        self._keep(points)

    def update(self, _name: str, points: Sequence[Point], _seen: Any) -> None:
        self._keep(points)

    def update_payload(self, _name: str, changes: Sequence[PayloadChange], _seen: Any) -> None:
        self._keep(changes)

    def delete(self, _name: str, seen: Mapping[PointId, Stamp]) -> None:
        self._added -= len(seen)
        self._written.update(dict.fromkeys(seen))
        self._forget()

    def retrieve(
        self, name: str, ids: Sequence[PointId], **wanted: bool
    ) -> dict[PointId, StoredPoint]:
        found = self._store.retrieve(name, ids, **wanted)
        for id in self._written.keys() & set(ids):
            point = self._written[id]
            if point is None:
                found.pop(id, None)
            else:
                found[id] = point
        return found

    def count(self, name: str, *, unstamped: bool = False) -> int:
        return self._store.count(name, unstamped=unstamped) + self._added

    def flush(self, _name: str) -> None:
        pass

    def _keep(self, written: Sequence[Point] | Sequence[PayloadChange]) -> None:
        self._written |= {
            item.id: StoredPoint(item.id, item.stamp, item.payload) for item in written
        }
        self._forget()

    def _forget(self) -> None:
        excess = len(self._written) - _REMEMBERED
        for id in list(islice(self._written, max(excess, 0))):
            del self._written[id]
