"""What the rooms promise each other: sources, encoders, stores, and who listens to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from reindex.records import (
    CollectionDescription,
    CollectionInfo,
    CollectionSpec,
    Copied,
    Document,
    Hit,
    PayloadChange,
    Point,
    PointId,
    PointSlice,
    SearchPlan,
    Stamp,
    StoredPoint,
    Vector,
)


class DeadLetterSink(Protocol):
    """Takes the rows that cannot be used, so that one bad row costs one line and not the run."""

    def add(
        self, *, file: str, line: int, reason: str, row: str = "", id: int | str | None = None
    ) -> None:
        """Keep the row. Raises TooManyBadRows past the threshold."""

    def ok(self, rows: int = 1) -> None:
        """Count good rows (the threshold is a share of all). May raise TooManyBadRows."""

    @property
    def count(self) -> int:
        """Bad rows so far."""

    @property
    def ids(self) -> frozenset[int | str]:
        """The ids of bad rows whose id could be read: they count as present in the source."""


class DocumentSource(Protocol):
    """Where documents come from. Can be read again and again."""

    @property
    def name(self) -> str:
        """Identity of the source, kept in every stamp; only its own points are ever deleted."""

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents; bad rows go to ``dead``."""

    def count(self) -> int | None:
        """How many documents there are, where that is cheap to know."""


@runtime_checkable
class RereadableSource(DocumentSource, Protocol):
    """A source that can be asked again for some of its documents."""

    def current(self, ids: Sequence[int | str]) -> Mapping[int | str, Document | None]:
        """The documents as they are now, by id.

        An id that the source no longer has is left out; one whose row makes no document is None.
        """


@runtime_checkable
class CopiedSource(RereadableSource, Protocol):
    """Another collection: what it gives takes points over from whatever source they came.

    Attributes:
        mirror: it is the whole truth, so every stamped point that it lacks is deleted; otherwise
            only points that came from it.
    """

    mirror: bool


@runtime_checkable
class ChangeableSource(DocumentSource, Protocol):
    """A source without snapshots that can tell whether it changed under its reader."""

    def changed(self) -> Sequence[str]:
        """What changed, came or went since the last reading began."""


@runtime_checkable
class PartialSource(DocumentSource, Protocol):
    """A part of a source: what it does not give may be there all the same, and is not deleted."""

    part: bool


class Tombstones(Protocol):
    """Knows which points were deleted by single writes."""

    def deleted(self, ids: Sequence[PointId]) -> Mapping[PointId, int]:
        """Those of ``ids`` whose last single write was a delete, with its rev."""


class KnownPoints(Protocol):
    """Knows which points were once in two collections."""

    def among(self, ids: Sequence[PointId]) -> set[PointId]:
        """Those of ``ids`` that were."""


class Encoder(Protocol):
    """Turns texts into unit vectors of one space."""

    @property
    def space(self) -> str:
        """The sha256 of all that decides where a text lies."""

    @property
    def encoding(self) -> str:
        """The sha256 of the graph file that computes the vectors."""

    @property
    def dim(self) -> int:
        """Full dimension."""

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given."""

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given."""


@runtime_checkable
class RememberingEncoder(Encoder, Protocol):
    """An encoder that knows vectors of documents from before, by the hash of their text."""

    def recall(self, hashes: Sequence[str]) -> dict[str, Vector]:
        """The vectors that it knows, by `text_hash`: ``(dim,)`` float32."""

    def remember(self, vectors: Mapping[str, Vector]) -> None:
        """Know these from now on."""


@runtime_checkable
class BulkEncoder(Encoder, Protocol):
    """An encoder that wants more texts at a time than others, to keep many machines busy."""

    @property
    def batch_size(self) -> int:
        """Texts per call."""


class Store(Protocol):
    """A vector store: collections, aliases, conditional writes, two-stage and exact search.

    Raises CollectionNotFound for an unknown collection (never an empty answer), StoreRefused where
    a point cannot be stored whatever is done (the others of the call may be written or not), and
    StoreError for everything else that goes wrong. Safe to call from several threads.

    Attributes:
        kind: the name that it is registered under (entry-point group ``reindex.stores``).
        local: `aliases` costs microseconds, so a retriever asks for every request; otherwise it
            caches the answer for ``serving.lease_ttl``.
    """

    kind: str
    local: bool

    def create(self, spec: CollectionSpec) -> None:
        """Create a collection. Raises CollectionExists, or AliasConflict on an alias's name."""

    def drop(self, name: str) -> None:
        """Delete a collection. Refuses one that an alias points at (AliasConflict)."""

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""

    def info(self, name: str) -> CollectionInfo:
        """Size, layout and metadata."""

    def set_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Merge ``metadata`` into the collection's, shallowly."""

    def aliases(self) -> dict[str, str]:
        """alias -> physical collection."""

    def point_alias(self, alias: str, collection: str) -> None:
        """Point ``alias`` at ``collection`` in one atomic write."""

    def insert(self, name: str, points: Sequence[Point]) -> None:
        """Insert-only: points whose id exists already stay untouched."""

    def update(
        self, name: str, points: Sequence[Point], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Update-only: overwrites a point only where build and rev are still those of ``seen``.

        A ``None`` in ``seen`` means that the point bore no stamp when it was read.
        """

    def update_payload(
        self, name: str, changes: Sequence[PayloadChange], seen: Mapping[PointId, Stamp | None]
    ) -> None:
        """Overwrite payload and stamp, keep the vectors; conditional as ``update``."""

    def delete(self, name: str, seen: Mapping[PointId, Stamp | None]) -> None:
        """Delete points whose build and rev are still those of ``seen`` (None: still no stamp)."""

    def retrieve(
        self,
        name: str,
        ids: Sequence[PointId],
        *,
        with_payload: bool = False,
        with_vector: bool = False,
    ) -> dict[PointId, StoredPoint]:
        """The points that exist among ``ids``; the stamp always comes along."""

    def scroll(
        self,
        name: str,
        *,
        page: int = 1000,
        with_payload: bool = False,
        with_vector: bool = False,
        start: PointId | None = None,
    ) -> Iterator[list[StoredPoint]]:
        """All points in pages, ids ascending: integers first, then UUIDs.

        ``start``: from this id on; it need not be there.
        """

    def missing_vectors(self, name: str) -> set[PointId]:
        """Ids of points that lack one of the layout's vectors."""

    def search(self, name: str, vector: Vector, plan: SearchPlan) -> list[Hit]:
        """Best first; ``vector`` is the full query vector ``(dim,)``."""

    def count(self, name: str, *, unstamped: bool = False) -> int:
        """Exact number of points; or only of those that bear no stamp, which others wrote."""

    def flush(self, name: str) -> None:
        """Make everything written so far durable."""

    def close(self) -> None:
        """Release every collection."""


@runtime_checkable
class CarryingStore(Protocol):
    """What a store can do beside `Store` if its collections may be other people's, too."""

    def describe(self, name: str) -> CollectionDescription:
        """All that the store knows of a collection, whoever made it."""

    def sample(self, name: str, count: int, vector: str | None = None) -> list[StoredPoint]:
        """Up to ``count`` random points, ids ascending, with payload and the full vector.

        ``vector`` names another slot to read it from.
        """

    def pages(self, name: str, vector: str, *, page: int = 500) -> Iterator[list[StoredPoint]]:
        """All points, ids ascending, with payload and the vector of a slot, whoever made them."""

    def carry_indexes(self, name: str, like: CollectionDescription) -> list[str]:
        """Create the payload indexes of ``like`` that ``name`` lacks; returns their fields."""

    def copy_vectors(
        self,
        source: str,
        target: str,
        names: Sequence[str],
        *,
        page: int = 256,
        keep: Callable[[StoredPoint], bool] | None = None,
    ) -> Iterator[Copied]:
        """Copy the vectors ``names`` to the points of ``target`` that have the same ids.

        ``keep``: of which points of the target the vectors stay as they are; with it nothing is
        removed, only added and overwritten.
        """


@runtime_checkable
class GraphStore(Store, Protocol):
    """A store that builds the search graph of a collection only when it is told to."""

    def optimize(self, name: str, *, at_least: int) -> bool:
        """Build the graph of a collection of ``at_least`` points; whether it was done.

        Meanwhile the collection may raise StoreBusy, so it should not be live.
        """


@runtime_checkable
class SharedStore(Store, Protocol):
    """A store that other machines can open as well, and read in parts."""

    def elsewhere(self) -> Callable[[], SharedStore] | None:
        """What opens the same store in another process, and can be pickled; None: nothing does.

        It holds no secret: each machine has those in its own environment.
        """

    def slices(self, name: str, count: int) -> list[PointSlice]:
        """The collection in about ``count`` parts of like size."""

    def page(
        self,
        name: str,
        part: PointSlice,
        after: PointId | None,
        *,
        size: int = 500,
        with_payload: bool = False,
    ) -> tuple[list[StoredPoint], PointId | None]:
        """The next points of a part, ids ascending, and what to pass as ``after`` for more.

        None as the second: that was the last page; as ``after``: the first one.
        """


class Catalog(Protocol):
    """Where the embedded store keeps what its engine does not: aliases, metadata, owners."""

    def aliases(self) -> dict[str, str]:
        """alias -> collection."""

    def set_alias(self, alias: str, collection: str) -> None:
        """Point the alias in one transaction."""

    def collection_metadata(self, name: str) -> dict[str, Any] | None:
        """The metadata kept for a collection, or None."""

    def merge_collection_metadata(self, name: str, metadata: Mapping[str, Any]) -> None:
        """Merge shallowly; creates the entry."""

    def forget_collection(self, name: str) -> None:
        """Remove the metadata."""

    def record_owner(self, name: str, pid: int) -> None:
        """Remember which process holds the collection's shard."""

    def owner(self, name: str) -> int | None:
        """The pid that was last recorded, if any."""

    def project_owner(self) -> str | None:
        """The process that owns all of the project's collections, described.

        None where there is none, or where it is this one.
        """


class Pace(Protocol):
    """Asked by a run before each batch: it may let the run wait (throttle, pause) or end it."""

    def __call__(self, texts: int) -> None:
        """Return when a batch that embeds or writes ``texts`` documents may go on.

        ``0`` is a batch with nothing to do: it is never throttled, but a pause holds it too.

        Raises:
            RunStopped: the run shall end here; what it did until now is kept.
        """


def no_pace(texts: int) -> None:
    """The default: go on."""


class Progress(Protocol):
    """Called now and then with how far a stage is; ``total`` is None where unknown."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show it."""


def no_progress(stage: str, done: int, total: int | None) -> None:
    """The default: show nothing."""
