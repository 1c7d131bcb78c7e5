"""Conditional writes, checked by reading back, and durable every so many points."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from reindex.build.mend import Mender
from reindex.build.plan import Write
from reindex.build.refuse import Refused, Trial, write_each
from reindex.build.report import Counts
from reindex.protocols import DeadLetterSink, Store
from reindex.records import PayloadChange, Point, PointId, Stamp, StoredPoint


class Writer:
    """Writes to one collection and flushes it every ``flush_every`` points and at the end.

    A point that the store cannot take goes to ``dead``, the others are written.
    """

    def __init__(
        self,
        store: Store,
        collection: str,
        flush_every: int,
        mender: Mender,
        counts: Counts,
        dead: DeadLetterSink,
    ) -> None:
        self._store = store
        self._collection = collection
        self._flush_every = flush_every
        self._mender = mender
        self._counts = counts
        self._dead = dead
        self._trial = Trial(store, collection)
        self._unflushed = 0

    def drain(self, writes: Iterable[Write]) -> None:
        """Write all; what was written is durable when this ends, in whatever way it ends."""
        try:
            for write in writes:
                if len(write):
                    self._write(write)
        except BaseException as error:
            self._flush_after(error)
            raise
        self._flush()

    def _write(self, write: Write) -> None:
        self._unflushed += len(write)
        refused = self._send(write)
        if refused:
            self._bury(write, refused)
            write = _without(write, refused)
        self._read_back(write)
        if self._unflushed >= self._flush_every:
            self._flush()

    def _send(self, write: Write) -> Refused:
        """All that there is to write; returns what the store cannot take."""
        store, name, works = self._store, self._collection, self._trial

        def update(points: Sequence[Point]) -> None:
            store.update(name, points, _part(write, points))

        def change(payloads: Sequence[PayloadChange]) -> None:
            store.update_payload(name, payloads, _part(write, payloads))

        return {
            **write_each(partial(store.insert, name), write.inserts, works),
            **write_each(update, write.updates, works),
            **write_each(change, write.changes, works),
        }

    def _bury(self, write: Write, refused: Refused) -> None:
        self._counts.failed += len(refused)
        written: list[Point | PayloadChange] = [*write.inserts, *write.updates, *write.changes]
        for item in written:
            if (reason := refused.get(item.id)) is not None:
                stamp = item.stamp
                self._dead.add(file=stamp.source, line=0, reason=reason, id=stamp.id)

    def _read_back(self, write: Write) -> None:
        """Count what bears our stamp now. What does not was written by somebody else meanwhile
        (an insert into a place just taken, an update of a point just changed): it is left.
        """
        written: list[Point | PayloadChange] = [*write.inserts, *write.updates, *write.changes]
        stored = self._store.retrieve(self._collection, [point.id for point in written])
        ours = {
            point.id
            for point in written
            if point.id in stored and stored[point.id].stamp == point.stamp
        }
        counts = self._counts
        counts.inserted += sum(point.id in ours for point in write.inserts)
        counts.updated += sum(point.id in ours for point in write.updates)
        counts.payload_only += sum(change.id in ours for change in write.changes)
        counts.appeared += sum(point.id in stored for point in write.inserts)
        self._count_lost([point for point in written if point.id not in ours], stored)
        self._mender.check([point.stamp for point in write.inserts if point.id in ours])

    def _count_lost(
        self, lost: list[Point | PayloadChange], stored: dict[PointId, StoredPoint]
    ) -> None:
        """Somebody else was faster: with a newer write, with a delete, or against our order."""
        vanished = [point.stamp for point in lost if point.id not in stored]
        gone = len(self._mender.gone(vanished))
        newer = sum(
            _is_newer(stored[point.id].stamp, point.stamp) for point in lost if point.id in stored
        )
        self._counts.gone += gone
        self._counts.overtaken += newer
        self._counts.contended += len(lost) - gone - newer

    def _flush(self) -> None:
        if self._unflushed:
            self._store.flush(self._collection)
            self._unflushed = 0

    def _flush_after(self, error: BaseException) -> None:
        """Flush what was written before ``error``, which stays the one that is raised."""
        try:
            self._flush()
        except Exception as second:
            error.add_note(f"The flush that followed failed too: {second}")


def _without(write: Write, refused: Refused) -> Write:
    return Write(
        [point for point in write.inserts if point.id not in refused],
        [point for point in write.updates if point.id not in refused],
        [change for change in write.changes if change.id not in refused],
        write.seen,
    )


def _is_newer(found: Stamp | None, ours: Stamp) -> bool:
    return found is not None and found.rev > ours.rev


def _part(write: Write, points: Iterable[Point | PayloadChange]) -> dict[PointId, Stamp | None]:
    return {point.id: write.seen[point.id] for point in points}
