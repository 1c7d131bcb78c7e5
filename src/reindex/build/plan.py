"""What flows between the stages of a build, and the decision what a document needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from reindex.records import Document, PayloadChange, Point, PointId, Stamp, StoredPoint


class Candidate(NamedTuple):
    """A document of the source, hashed. ``key`` is the packed point id."""

    document: Document
    id: PointId
    key: bytes
    text_hash: str
    payload_hash: str


class Need(Enum):
    """What a document needs, so that the collection holds it as the source does."""

    NOTHING = auto()
    PAYLOAD = auto()
    UPDATE = auto()
    INSERT = auto()


class Refusal(Exception):
    """The document's point cannot be written; the message is the dead letter's reason."""


@dataclass(frozen=True, slots=True)
class Target:
    """What every point of this run is stamped with."""

    source: str
    space: str
    encoding: str
    build: str
    rev: int

    def stamp(self, candidate: Candidate) -> Stamp:
        """The stamp that the candidate's point bears once written."""
        return Stamp(
            id=candidate.document.id,
            space=self.space,
            encoding=self.encoding,
            build=self.build,
            source=self.source,
            text_hash=candidate.text_hash,
            payload_hash=candidate.payload_hash,
            rev=self.rev,
        )

    def holds(self, stamp: Stamp | None, text_hash: str) -> bool:
        """Whether a point of this stamp has this encoder's vector of the text."""
        return (
            stamp is not None
            and stamp.text_hash == text_hash
            and stamp.encoding == self.encoding
            and stamp.space == self.space
        )

    def need(self, candidate: Candidate, stored: StoredPoint | None, *, damaged: bool) -> Need:
        """Compare a document with its point. ``damaged``: the point lacks a vector.

        Raises:
            Refusal: the point belongs to another source, or to another document's id.
        """
        if stored is None:
            return Need.INSERT
        stamp = stored.stamp
        if stamp is None:
            return Need.UPDATE
        if stamp.source != self.source:
            raise Refusal(f"conflict: the point belongs to the source {stamp.source!r}")
        if stamp.id != candidate.document.id:
            raise Refusal(f"id collision: the document {stamp.id!r} has the same point id")
        if damaged or not self.holds(stamp, candidate.text_hash):
            return Need.UPDATE
        if stamp.payload_hash != candidate.payload_hash or stamp.build != self.build:
            return Need.PAYLOAD
        return Need.NOTHING


class Task(NamedTuple):
    """A candidate that needs something, and the stamp that was read (None: none or no point)."""

    candidate: Candidate
    need: Need
    seen: Stamp | None


@dataclass(slots=True)
class Batch:
    """Looked-up documents on their way to the encoder.

    ``current`` names the vectors that are there and right: (text hash, packed id).
    """

    documents: int = 0
    unchanged: int = 0
    tasks: list[Task] = field(default_factory=list)
    current: list[tuple[str, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class Write:
    """What the writer does in one go. ``seen`` covers the updates and the changes."""

    inserts: list[Point] = field(default_factory=list)
    updates: list[Point] = field(default_factory=list)
    changes: list[PayloadChange] = field(default_factory=list)
    seen: dict[PointId, Stamp | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inserts) + len(self.updates) + len(self.changes)
