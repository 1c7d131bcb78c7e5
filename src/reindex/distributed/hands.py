"""Workers that write to a server's store themselves."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

from reindex.build.hand import Done, Orders, Unit
from reindex.distributed.collection import SlicedCollection
from reindex.distributed.encoder import UNIT, PooledEncoder
from reindex.distributed.source import SlicedFiles, SlicedTable
from reindex.protocols import DocumentSource, SharedStore, Store


class PooledHands:
    """Implements `build.hand.Crew` on the workers that embed. For one calling thread.

    A unit whose worker was lost goes to another one, which mends as if it had inserted it all.
    """

    unit = UNIT

    def __init__(self, encoder: PooledEncoder, store: Callable[[], Store]) -> None:
        self._encoder, self._store = encoder, store

    def work(
        self, orders: Orders, source: DocumentSource, units: Iterator[Unit | None]
    ) -> Iterator[tuple[Unit, Done]]:
        """Each unit, and what became of it, in any order."""
        job = pickle.dumps((orders, _again(source), self._store))

        def call(actor: Any, unit: Unit) -> Any:
            return actor.work.remote(job, unit)

        return self._encoder.pool.each(units, call, doing="building", again=Unit.lost)


def hands(encoder: PooledEncoder, store: Store) -> PooledHands | None:
    """The workers as a crew; None where only the driver can open the store."""
    opener = store.elsewhere() if isinstance(store, SharedStore) else None
    return None if opener is None else PooledHands(encoder, opener)


def _again(source: DocumentSource) -> Callable[[], DocumentSource] | None:
    """What opens a source on a worker, to be asked again; None: it is of the kind that cannot be.

    Every source that a build with a server's store may have is one of these.
    """
    if isinstance(source, SlicedTable | SlicedCollection):
        return source.opener
    assert isinstance(source, SlicedFiles), f"{source.name} cannot be opened on a worker"
    return None
