"""What flows between the stages of a build, and the decision what a document needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from reindex.protocols import KnownPoints, Tombstones
from reindex.records import (
    INDEXER_SOURCE,
    Document,
    PayloadChange,
    Point,
    PointId,
    Stamp,
    StoredPoint,
    payload_hash,
)


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
    NEWER = auto()
    """The point is a newer write than the document: leave it."""


class Refusal(Exception):
    """The document's point cannot be written; the message is the dead letter's reason."""


@dataclass(frozen=True, slots=True)
class Guard:
    """What a run respects of those who write at the same time.

    Attributes:
        tombstones: deletes by single writes: a run does not bring such points back.
        adopted: points without a stamp are as their maker wrote them: one with the payload that
            its document has is current.
        careful: leave every point that bears no stamp, or whose payload is no longer that of its
            stamp: for a collection that is live already.
        originals: points of an adopted collection that the source had, too: one without a stamp
            that it has no more was deleted in it.
    """

    tombstones: Tombstones | None = None
    adopted: bool = False
    careful: bool = False
    originals: KnownPoints | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What every point of this run is stamped with, and what the run must leave alone.

    ``copies``: the source is another collection, so its documents bring their own revs and take
    points over from whatever source they came.
    """

    source: str
    space: str
    encoding: str
    build: str
    rev: int
    copies: bool = False
    adopted: bool = False
    careful: bool = False

    def stamp(self, candidate: Candidate, seen: Stamp | None) -> Stamp:
        """The stamp that the candidate's point bears once written over ``seen``.

        A document without a number of its own, in a collection, is as new as what it replaces.
        """
        own = candidate.document.rev
        rev = self.rev if own is None else max(own, seen.rev if seen else 0)
        return Stamp(
            id=candidate.document.id,
            space=self.space,
            encoding=self.encoding,
            build=self.build,
            source=self.source,
            text_hash=candidate.text_hash,
            payload_hash=candidate.payload_hash,
            rev=rev,
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
            return self._unstamped(candidate, stored, damaged=damaged)
        if self._leaves(stamp, candidate.document.rev):
            return Need.NEWER
        if not self.copies:
            self._check_owner(stamp, candidate)
        need = self._change(stamp, candidate, damaged=damaged)
        return need if need is Need.NOTHING or self.untouched(stored) else Need.NEWER

    def _change(self, stamp: Stamp, candidate: Candidate, *, damaged: bool) -> Need:
        if damaged or not self.holds(stamp, candidate.text_hash):
            return Need.UPDATE
        ours = (candidate.payload_hash, self.build, self.source)
        same = (stamp.payload_hash, stamp.build, stamp.source) == ours
        return Need.NOTHING if same else Need.PAYLOAD

    def _unstamped(self, candidate: Candidate, stored: StoredPoint, *, damaged: bool) -> Need:
        if not self.adopted:
            return Need.NEWER if self.careful else Need.UPDATE
        same = payload_hash(stored.payload) == candidate.payload_hash
        return Need.NOTHING if same and not damaged else Need.UPDATE

    def _leaves(self, stamp: Stamp, rev: int | None) -> bool:
        """Whether a point is newer than the run, or than the document; or a single write's own."""
        single = stamp.source == INDEXER_SOURCE and not self.copies
        return single or stamp.rev > self.rev or (bool(rev) and stamp.rev > (rev or 0))

    def _check_owner(self, stamp: Stamp, candidate: Candidate) -> None:
        if stamp.source != self.source:
            raise Refusal(f"conflict: the point belongs to the source {stamp.source!r}")
        if stamp.id != candidate.document.id:
            raise Refusal(f"id collision: the document {stamp.id!r} has the same point id")

    def untouched(self, stored: StoredPoint) -> bool:
        """In a careful run (which reads payloads): whether the payload is still its stamp's."""
        return not self.careful or (
            stored.stamp is not None and payload_hash(stored.payload) == stored.stamp.payload_hash
        )

    def buried(self, rev: int | None, tombstone: int | None) -> bool:
        """Whether a delete by a single write, of this rev, is newer than a document's ``rev``.

        Rows of files and tables bear no rev: there the delete holds. A document of a collection
        that bears none (0) was written after all that was there when the run began.
        """
        if tombstone is None:
            return False
        return not self.copies or tombstone > (rev or self.rev)


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
