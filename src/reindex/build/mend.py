"""What happened at the source between reading a document and writing its point.

An insert alone would bring back what was deleted in between. So right after it the documents are
asked for again: what is gone by then is deleted again (if it is still as we wrote it), what has
changed is written once more at the end of the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reindex.build.lookup import hashed
from reindex.build.plan import Refusal, Target
from reindex.build.report import Counts
from reindex.point_ids import point_key
from reindex.protocols import DocumentSource, RereadableSource, Store, Tombstones
from reindex.records import Document, PointId, Stamp


class Mender:
    """Asks the source, where it can be asked, and the tombstones again. Used by one thread."""

    def __init__(
        self,
        target: Target,
        source: DocumentSource | None,
        tombstones: Tombstones | None,
        store: Store,
        collection: str,
        counts: Counts,
    ) -> None:
        self._target = target
        self._source = source if isinstance(source, RereadableSource) else None
        self._tombstones = tombstones
        self._store, self._collection = store, collection
        self._counts = counts
        self._changed: dict[int | str, Document] = {}

    def take_changed(self) -> list[Document]:
        """Documents that were inserted and have changed since they were read."""
        changed, self._changed = list(self._changed.values()), {}
        return changed

    def remember(self, changed: Iterable[Document]) -> None:
        """Documents that somebody else found changed."""
        self._changed.update((document.id, document) for document in changed)

    def check(self, inserted: Sequence[Stamp]) -> None:
        """Delete those points just inserted whose documents are gone; remember the changed."""
        gone = self.gone(inserted)
        if gone:
            self._store.delete(self._collection, gone)
            left = self._store.retrieve(self._collection, list(gone))
            self._counts.inserted -= len(gone)
            self._counts.appeared -= len(gone.keys() - left.keys())
            self._counts.gone += len(gone)

    def bury(self, deleted: Mapping[PointId, int]) -> None:
        """Delete what a run left that was killed between an insert and the question after it.

        ``deleted`` are tombstones with their revs: a point that is older should not be there.
        """
        stored = self._store.retrieve(self._collection, list(deleted))
        older = {
            id: point.stamp
            for id, point in stored.items()
            if point.stamp is not None and point.stamp.rev < deleted[id]
        }
        if older:
            self._store.delete(self._collection, older)
            left = self._store.retrieve(self._collection, list(older))
            self._counts.deleted += len(older.keys() - left.keys())

    def gone(self, stamps: Sequence[Stamp]) -> dict[PointId, Stamp]:
        """Those whose documents the source no longer has, or that a single write deleted."""
        if not stamps or (self._source is None and self._tombstones is None):
            return {}
        by_id = {point_key(stamp.id)[0]: stamp for stamp in stamps}
        gone = self._buried(by_id)
        if self._source is not None:
            now = self._source.current([stamp.id for stamp in stamps])
            gone |= {id: stamp for id, stamp in by_id.items() if stamp.id not in now}
            self._remember(by_id, now.values())
        return gone

    def _buried(self, by_id: dict[PointId, Stamp]) -> dict[PointId, Stamp]:
        if self._tombstones is None:
            return {}
        deleted = self._tombstones.deleted(list(by_id))
        return {
            id: by_id[id] for id, rev in deleted.items() if self._target.buried(by_id[id].rev, rev)
        }

    def _remember(self, by_id: dict[PointId, Stamp], now: Iterable[Document | None]) -> None:
        for document in now:
            if document is None:  # it is there, but makes no document: it stays as it was
                continue
            try:
                candidate = hashed(document)
            except (Refusal, UnicodeEncodeError):
                continue
            stamp = by_id.get(candidate.id)
            if stamp is not None and (candidate.text_hash, candidate.payload_hash) != (
                stamp.text_hash,
                stamp.payload_hash,
            ):
                self._changed[document.id] = document
