"""One point that the store cannot take must not cost the run: as `isolate` for texts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from reindex.errors import StoreRefused
from reindex.protocols import Store
from reindex.records import PayloadChange, Point, PointId, Stamp

Item = TypeVar("Item", Point, PayloadChange)
Refused = dict[PointId, str]
"""point id -> why the store cannot take it."""

REASON_LIMIT = 500
"""Characters of the store's own words that are kept."""


def write_each(
    write: Callable[[Sequence[Item]], None], items: Sequence[Item], works: Callable[[Stamp], bool]
) -> Refused:
    """Write all in one call; if the store refuses that, in halves, down to single ones.

    What a refused call has written already may be written again: writes are conditional.

    Raises:
        StoreRefused: the store refuses all of them, and does not work for a plain point either:
            ``works``, given the stamp of one of them, says so.
        StoreError: as ``write`` raises it, for anything else than a refusal.
    """
    if not items:
        return {}
    try:
        write(items)
    except StoreRefused as error:
        refused = _halves(write, items, error)
        if len(refused) == len(items) and not works(items[0].stamp):
            raise
        return refused
    return {}


def _halves(
    write: Callable[[Sequence[Item]], None], items: Sequence[Item], error: StoreRefused
) -> Refused:
    if len(items) == 1:
        return {items[0].id: f"store: {error}"[:REASON_LIMIT]}
    refused: Refused = {}
    middle = len(items) // 2
    for part in (items[:middle], items[middle:]):
        try:
            write(part)
        except StoreRefused as again:
            refused |= _halves(write, part, again)
    return refused


@dataclass(frozen=True, slots=True)
class Trial:
    """Whether a collection takes a plain point: an update of one that is not there does nothing."""

    store: Store
    collection: str

    def __call__(self, like: Stamp) -> bool:
        """Ask the store."""
        id = str(uuid.uuid4())
        vector = np.zeros(self.store.info(self.collection).dim, np.float32)
        vector[0] = 1
        point = Point(id, vector, {"text": "a plain text"}, replace(like, id=id))
        try:
            self.store.update(self.collection, [point], {id: like})
        except StoreRefused:
            return False
        return True
