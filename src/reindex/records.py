"""The records that flow between the rooms.

Vectors are ``float32`` numpy arrays of unit length: ``(dim,)`` for one, ``(n, dim)`` for many.
"""

from __future__ import annotations

import hashlib
import json
import operator
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Payload = dict[str, Any]
PointId = int | str
"""What Qdrant takes: an unsigned 64-bit integer, or a UUID in canonical text form."""


@dataclass(frozen=True, slots=True)
class PointSlice:
    """A part of a collection's points. All parts of one division are disjoint, and cover it.

    Attributes:
        start, stop: ids [start, stop) in the order of a scroll; None: from the first, to the last.
        index, total: of the ids, those whose hash falls into part ``index`` of ``total``.
    """

    start: PointId | None = None
    stop: PointId | None = None
    index: int = 0
    total: int = 1


Qrels = Mapping[str, Mapping[str, int]]
"""query id -> document id -> graded relevance (0 = judged not relevant)."""

Layout = Literal["two-stage", "single"]
STAMP_KEY = "_reindex"
INDEXER_SOURCE = "indexer"
"""The source of what single writes put beside files: only they change or delete it."""

PREFIX_VECTOR = "prefix"
ID_NAMESPACE = uuid.UUID("0b8f4f4e-5f0a-5e0b-9d5b-3c1f6a2f7d10")
_MAX_UINT64 = 2**64 - 1
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str)


_IMAGE = "\x1fimage:"
"""What the text of a document that is an image begins with: no text does."""


def image_reference(file: Path) -> str:
    """What stands for the text of a document that is an image: its content's hash, and its path.

    Raises:
        OSError: the file cannot be read.
    """
    return f"{_IMAGE}{hashlib.sha256(file.read_bytes()).hexdigest()}:{file}"


def image_path(text: str) -> str:
    """The path within an `image_reference`; empty for any other text."""
    return text[len(_IMAGE) :].partition(":")[2] if text.startswith(_IMAGE) else ""


def text_hash(text: str) -> str:
    """128 bits of the SHA-256 of ``text`` as 32 hex digits; of an image, wherever it lies."""
    if text.startswith(_IMAGE):
        text = text[: len(_IMAGE) + 64]
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
    """One text to retrieve. ``payload`` is stored as it is; ``text`` is what is embedded.

    ``rev`` is the write that made it, where the source knows (0: somebody whose writes have no
    number); None: whatever a run reads is as new as the run.
    """

    id: int | str
    text: str
    payload: Payload
    rev: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One judged query. ``group`` keeps queries together that are not independent.

    ``metadata`` is whatever else its row holds.
    """

    id: str
    text: str
    group: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Judgements:
    """Queries with their relevance judgements; only queries with a relevant document count."""

    queries: tuple[Query, ...]
    qrels: Qrels


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One row of training data: a query, its relevant text and, if any, hard negatives.

    ``scores`` are a teacher's: of the positive, then of each negative; similarities or logits.
    """

    anchor: str
    positive: str
    negatives: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """Two texts and how similar they are, from 0 to 1 (STS)."""

    first: str
    second: str
    score: float


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two texts and the class of the pair: ``entailment``, ``neutral``, … or any other."""

    first: str
    second: str
    label: str


@dataclass(frozen=True, slots=True)
class LabelledText:
    """A text and the class that it belongs to: an intent, a subject."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Stamp:
    """What reindex writes beside the payload, under ``_reindex``.

    ``id`` is the source's own id; ``rev`` is the registry's number of the run or the single write
    that the content came by, so a higher ``rev`` is a newer write.
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
        if not isinstance(raw, Mapping) or not isinstance(raw.get("id"), str | int):
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
class VectorDescription:
    """One of a collection's vectors. ``params`` is its configuration as the server's JSON has it.

    ``dim`` and ``distance`` are None for a sparse vector.
    """

    name: str
    kind: Literal["dense", "multi", "sparse"]
    dim: int | None
    distance: str | None
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CollectionDescription:
    """A collection as its server describes it, whoever made it.

    ``settings`` are those that a new collection can be created with (shards, replicas, HNSW,
    quantization, …), ``indexes`` the payload indexes (field -> type and parameters), both as the
    server's JSON has them; ``owned`` names the vectors that belong to a model of ours.
    """

    name: str
    points: int
    vectors: tuple[VectorDescription, ...]
    owned: tuple[str, ...]
    settings: Mapping[str, Any]
    indexes: Mapping[str, Mapping[str, Any]]
    metadata: Mapping[str, Any]
    status: str
    problems: tuple[str, ...]
    indexed_vectors: int | None
    segments: int | None

    @property
    def unowned(self) -> tuple[VectorDescription, ...]:
        """Vectors that somebody else keeps up: sparse ones, images."""
        return tuple(vector for vector in self.vectors if vector.name not in self.owned)


@dataclass(frozen=True, slots=True)
class Placement:
    """How a server spreads a collection and keeps it; None leaves it to ``like``, or the server.

    Attributes:
        shard_number: parts that lie on different nodes.
        replication_factor: copies of each part.
        write_consistency_factor: copies that must confirm a write.
        on_disk: full vectors are on disk rather than in memory.
        on_disk_payload: payloads are on disk rather than in memory.
        quantization: ``none``, ``scalar`` (int8) or ``binary``, of the vector that is searched
            first; its originals are then on disk.
    """

    shard_number: int | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None
    on_disk: bool | None = None
    on_disk_payload: bool | None = None
    quantization: str | None = None


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """How to create a collection. ``prefix_dim`` is None in the ``single`` layout.

    ``vector`` names the slot of the full vector ("": the unnamed one); ``like`` is a collection
    whose settings, payload indexes and unowned vectors the new one gets too; ``placement`` is what
    the operator wants, and wins.
    """

    name: str
    dim: int
    layout: Layout
    prefix_dim: int | None
    metadata: Mapping[str, Any]
    vector: str = ""
    distance: str = "Cosine"
    like: CollectionDescription | None = None
    placement: Placement = Placement()


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection as it stands. ``metadata`` holds project, version, space, encoding, build."""

    name: str
    points: int
    dim: int
    layout: Layout
    prefix_dim: int | None
    metadata: Mapping[str, Any]
    vector: str = ""
    distance: str = "Cosine"


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of points whose vectors were copied: ``absent`` ones are not in the target."""

    written: int = 0
    unchanged: int = 0
    removed: int = 0
    absent: int = 0

    def __add__(self, other: Copied) -> Copied:
        return Copied(
            self.written + other.written,
            self.unchanged + other.unchanged,
            self.removed + other.removed,
            self.absent + other.absent,
        )


Condition = Mapping[str, Any]
"""field -> value (equal), list (any of), {"gt"|"gte"|"lt"|"lte": number} or {"empty": bool} (not
there, null or an empty list); all must hold. Beside fields: ``"$or"`` and ``"$and"`` -> list of
conditions, ``"$not"`` -> a condition. A negation holds for documents without the field, too.
"""


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
    """One result. ``id`` is the source's own id where the point is stamped.

    ``version`` is the one whose collection it was found in, where a retriever answered.
    """

    id: int | str
    score: float
    payload: Payload
    point_id: PointId
    version: str = ""
