"""A collection as the source: its own points, with the text that their payloads hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from reindex.corpus.frameworks import StoredText
from reindex.protocols import DeadLetterSink, Store
from reindex.records import Document, PointId, Stamp, StoredPoint, payload_hash, point_id

PAGE = 500
"""Points per page: payloads come along, so less than what ids alone would allow."""

TextOf = Callable[[Mapping[str, Any]], str]
"""payload -> the text that is embedded; empty where it holds none."""

Belongs = Callable[[Stamp | None], bool]
"""Whether a point of this stamp (None: it bears none) is one of the source's documents."""


def _all(_: Stamp | None) -> bool:
    return True


class CollectionSource:
    """Documents read from a collection's own payloads, in the order of their point ids.

    Implements `protocols.CopiedSource`. A document brings the rev of the write that made it, or 0
    where somebody else wrote it: it bears no stamp, or a payload that is not its stamp's.
    """

    def __init__(
        self,
        store: Store,
        collection: str,
        *,
        name: str,
        text_of: TextOf,
        belongs: Belongs | None = None,
    ) -> None:
        """``belongs`` picks some of the points; then what is not among them is not deleted."""
        self._store, self.collection, self._name = store, collection, name
        self._text_of, self._belongs = text_of, belongs or _all
        self.mirror = belongs is None

    @property
    def name(self) -> str:
        """What copies of its points are stamped with."""
        return self._name

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents; points without a text go to ``dead``."""
        for page in self._pages():
            documents = [(point, self._document(point)) for point in page]
            dead.ok(sum(document is not None for _, document in documents))
            for point, document in documents:
                if document is not None:
                    yield document
                else:
                    reason = self._missing(point.payload)
                    dead.add(file=self.collection, line=0, reason=reason, id=_id(point))

    def _pages(self) -> Iterator[Iterable[StoredPoint]]:
        if self.mirror:
            yield from self._store.scroll(self.collection, page=PAGE, with_payload=True)
            return
        for page in self._store.scroll(self.collection):
            wanted = [point.id for point in page if self._belongs(point.stamp)]
            if wanted:
                found = self._store.retrieve(self.collection, wanted, with_payload=True)
                yield (found[id] for id in wanted if id in found)

    def current(self, ids: Sequence[int | str]) -> dict[int | str, Document | None]:
        """The documents as they are now; gone ones are left out, those without text are None."""
        by_point: dict[PointId, int | str] = {point_id(id): id for id in ids}
        found = self._store.retrieve(self.collection, list(by_point), with_payload=True)
        return {
            by_point[point.id]: self._document(point)
            for point in found.values()
            if self._belongs(point.stamp)
        }

    def count(self) -> int | None:
        """Points of the collection; None for a part of them."""
        return self._store.count(self.collection) if self.mirror else None

    def _missing(self, payload: Mapping[str, Any]) -> str:
        how = self._text_of
        return how.missing(payload) if isinstance(how, StoredText) else f"no text in {how}"

    def _document(self, point: StoredPoint) -> Document | None:
        text = self._text_of(point.payload)
        if not text:
            return None
        stamp = point.stamp
        own = stamp is not None and stamp.payload_hash == payload_hash(point.payload)
        return Document(_id(point), text, point.payload, stamp.rev if stamp and own else 0)


def _id(point: StoredPoint) -> int | str:
    """The document's own id, which the stamp remembers; else the point's."""
    stamp = point.stamp
    return stamp.id if stamp is not None and point_id(stamp.id) == point.id else point.id
