"""The records that flow between the rooms, and the two protocols that rooms implement.

Vectors are ``float32`` numpy arrays of unit length: ``(dim,)`` for one, ``(n, dim)`` for many.
"""

from __future__ import annotations

import hashlib
import json
import operator
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Payload = dict[str, Any]
PointId = int | str
"""What Qdrant takes: an unsigned 64-bit integer, or a UUID in canonical text form."""

Qrels = Mapping[str, Mapping[str, int]]
"""query id -> document id -> graded relevance (0 = judged not relevant)."""

Layout = Literal["two-stage", "single"]
STAMP_KEY = "_reindex"
PREFIX_VECTOR = "prefix"
ID_NAMESPACE = uuid.UUID("0b8f4f4e-5f0a-5e0b-9d5b-3c1f6a2f7d10")
_MAX_UINT64 = 2**64 - 1
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)


def text_hash(text: str) -> str:
    """128 bits of the SHA-256 of ``text`` as 32 hex digits."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def query_hash(text: str) -> str:
    """`text_hash` of the query in lower case with its white space folded: finds leaked queries."""
    return text_hash(" ".join(text.lower().split()))


def payload_hash(payload: Mapping[str, Any]) -> str:
    """128 bits of the SHA-256 of the payload's canonical JSON (sorted keys), as 32 hex digits."""
    return hashlib.sha256(_CANONICAL.encode(payload).encode("utf-8")).hexdigest()[:32]


def point_id(document_id: int | str) -> PointId:
    """Map a source's own id to one that Qdrant takes.

    Unsigned 64-bit integers and canonical UUIDs stay as they are; any other string becomes its
    UUIDv5 in the project-independent namespace ``ID_NAMESPACE``.
    """
    if isinstance(document_id, int):
        if 0 <= document_id <= _MAX_UINT64:
            return document_id
        document_id = str(document_id)
    if len(document_id) == 36 and document_id[8] == "-":
        try:
            if str(uuid.UUID(document_id)) == document_id:
                return document_id
        except ValueError:
            pass
    return str(uuid.uuid5(ID_NAMESPACE, document_id))


@dataclass(frozen=True, slots=True)
class Document:
    """One text to retrieve. ``payload`` is stored as it is; ``text`` is what is embedded."""

    id: int | str
    text: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Query:
    """One judged query. ``group`` keeps queries together that are not independent."""

    id: str
    text: str
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Judgements:
    """Queries with their relevance judgements; only queries with a relevant document count."""

    queries: tuple[Query, ...]
    qrels: Qrels


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One row of training data: a query, its relevant text and, if any, hard negatives."""

    anchor: str
    positive: str
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stamp:
    """What reindex writes beside the payload, under ``_reindex``.

    ``id`` is the source's own id; ``rev`` is the registry's number of the run that wrote the
    point, so a higher ``rev`` is a newer write.
    """

    id: int | str
    space: str
    encoding: str
    build: str
    source: str
    text_hash: str
    payload_hash: str
    rev: int

    def as_payload(self) -> Payload:
        """The stamp as the JSON object that is stored."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any] | None) -> Stamp | None:
        """The stamp within a stored payload, or None where there is none or a foreign one."""
        raw = (payload or {}).get(STAMP_KEY)
        if not isinstance(raw, Mapping):
            return None
        try:
            return cls(*_STAMP_FIELDS(raw))
        except KeyError:
            return None


_STAMP_FIELDS = operator.itemgetter(*Stamp.__slots__)


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A point to write: the full unit vector; the store derives ``prefix`` from it."""

    id: PointId
    vector: Vector
    payload: Payload
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class PayloadChange:
    """A payload to overwrite on a point whose vectors stay."""

    id: PointId
    payload: Payload
    stamp: Stamp


@dataclass(frozen=True, slots=True, eq=False)
class StoredPoint:
    """A point as read: payload without the stamp (empty) and full vector (None) if asked for."""

    id: PointId
    stamp: Stamp | None
    payload: Payload = field(default_factory=dict)
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """How to create a collection. ``prefix_dim`` is None in the ``single`` layout."""

    name: str
    dim: int
    layout: Layout
    prefix_dim: int | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection as it stands. ``metadata`` holds project, version, space, encoding, build."""

    name: str
    points: int
    dim: int
    layout: Layout
    prefix_dim: int | None
    metadata: Mapping[str, Any]


Condition = Mapping[str, Any]
"""field -> value (equal), list (any of) or {"gt"|"gte"|"lt"|"lte": number}; all must hold."""


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """How to search.

    ``two_stage``: the first stage takes ``oversampling * (k + offset)`` candidates by the
    ``prefix`` vector, the second rescores them on the full vector. ``exact`` bypasses every
    approximate index (ground truth).
    """

    k: int = 10
    offset: int = 0
    two_stage: bool = False
    exact: bool = False
    oversampling: int = 10
    hnsw_ef: int | None = None
    where: Condition | None = None
    with_payload: bool = True


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. ``id`` is the source's own id where the point is stamped."""

    id: int | str
    score: float
    payload: Payload
    point_id: PointId


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


class Store(Protocol):
    """A vector store: collections, aliases, conditional writes, two-stage and exact search.

    Raises CollectionNotFound for an unknown collection (never an empty answer), and StoreError
    for everything else that goes wrong. Safe to call from several threads.
    """

    kind: str

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

    def delete(self, name: str, seen: Mapping[PointId, Stamp]) -> None:
        """Delete points whose build and rev are still those of ``seen``."""

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
    ) -> Iterator[list[StoredPoint]]:
        """All points in pages, ids ascending: integers first, then UUIDs."""

    def missing_vectors(self, name: str) -> set[PointId]:
        """Ids of points that lack one of the layout's vectors."""

    def search(self, name: str, vector: Vector, plan: SearchPlan) -> list[Hit]:
        """Best first; ``vector`` is the full query vector ``(dim,)``."""

    def count(self, name: str) -> int:
        """Exact number of points."""

    def flush(self, name: str) -> None:
        """Make everything written so far durable."""

    def close(self) -> None:
        """Release every collection."""


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


class Progress(Protocol):
    """Called now and then with how far a stage is; ``total`` is None where unknown."""

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show it."""


def no_progress(stage: str, done: int, total: int | None) -> None:
    """The default: show nothing."""
