"""A collection as the source: its own points, with the text that their payloads hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reindex.corpus.frameworks import StoredText
from reindex.protocols import DeadLetterSink, SharedStore, Store
from reindex.records import (
    Document,
    PointId,
    PointSlice,
    Stamp,
    StoredPoint,
    payload_hash,
    point_id,
)

PAGE = 500
"""Points per page: payloads come along, so less than what ids alone would allow."""

TextOf = Callable[[Mapping[str, Any]], str]
"""payload -> the text that is embedded; empty where it holds none."""

Belongs = Callable[[Stamp | None], bool]
"""Whether a point of this stamp (None: it bears none) is one of the source's documents."""


def _all(_: Stamp | None) -> bool:
    return True


@dataclass(slots=True)
class Page:
    """Some points as documents; of those without a text, the ids and what is missing."""

    documents: list[Document] = field(default_factory=list)
    textless: list[tuple[int | str, str]] = field(default_factory=list)


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
        self.text_of, self.belongs = text_of, belongs
        self._belongs = belongs or _all
        self.mirror = belongs is None

    @property
    def name(self) -> str:
        """What copies of its points are stamped with."""
        return self._name

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents; points without a text go to ``dead``."""
        for points in self._pages():
            yield from self.usable(self._page(points), dead)

    def usable(self, page: Page, dead: DeadLetterSink) -> list[Document]:
        """The documents of a page, whoever read it; the others go to ``dead``."""
        dead.ok(len(page.documents))
        for id, reason in page.textless:
            dead.add(file=self.collection, line=0, reason=reason, id=id)
        return page.documents

    def read(
        self, part: PointSlice, after: PointId | None, points: int
    ) -> tuple[Page, PointId | None]:
        """The next ``points`` or so of a part of a shared store's collection; see its `page`."""
        assert isinstance(self._store, SharedStore)
        read, more = Page(), True
        while more:
            found, after = self._store.page(
                self.collection, part, after, size=PAGE, with_payload=self.mirror
            )
            page = self._page(self._chosen(found))
            read.documents += page.documents
            read.textless += page.textless
            points -= len(found)
            more = after is not None and points > 0
        return read, after

    def slices(self, count: int) -> list[PointSlice]:
        """The collection in about ``count`` parts, for `read`."""
        assert isinstance(self._store, SharedStore)
        return self._store.slices(self.collection, count)

    def elsewhere(self) -> Callable[[], CollectionSource] | None:
        """What opens the same source in another process and can be pickled; None: nothing does."""
        opener = self._store.elsewhere() if isinstance(self._store, SharedStore) else None
        if opener is None:
            return None
        return _Reopened(opener, self.collection, self._name, self.text_of, self.belongs)

    def _page(self, points: Iterable[StoredPoint]) -> Page:
        page = Page()
        for point in points:
            document = self._document(point)
            if document is None:
                page.textless.append((_id(point), self._missing(point.payload)))
            else:
                page.documents.append(document)
        return page

    def _pages(self) -> Iterator[Iterable[StoredPoint]]:
        pages = self._store.scroll(self.collection, page=PAGE, with_payload=self.mirror)
        return map(self._chosen, pages)

    def _chosen(self, page: Sequence[StoredPoint]) -> Iterable[StoredPoint]:
        """Those that belong, with their payloads."""
        if self.mirror:
            return page
        wanted = [point.id for point in page if self._belongs(point.stamp)]
        if not wanted:
            return ()
        found = self._store.retrieve(self.collection, wanted, with_payload=True)
        return [found[id] for id in wanted if id in found]

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
        how = self.text_of
        return how.missing(payload) if isinstance(how, StoredText) else f"no text in {how}"

    def _document(self, point: StoredPoint) -> Document | None:
        text = self.text_of(point.payload)
        if not text:
            return None
        stamp = point.stamp
        own = stamp is not None and stamp.payload_hash == payload_hash(point.payload)
        return Document(_id(point), text, point.payload, stamp.rev if stamp and own else 0)


@dataclass(frozen=True, slots=True)
class _Reopened:
    """Opens a source with a store of its own."""

    store: Callable[[], Store]
    collection: str
    name: str
    text_of: TextOf
    belongs: Belongs | None

    def __call__(self) -> CollectionSource:
        return CollectionSource(
            self.store(), self.collection, name=self.name, text_of=self.text_of,
            belongs=self.belongs,
        )  # fmt: skip


def _id(point: StoredPoint) -> int | str:
    """The document's own id, which the stamp remembers; else the point's."""
    stamp = point.stamp
    return stamp.id if stamp is not None and point_id(stamp.id) == point.id else point.id
