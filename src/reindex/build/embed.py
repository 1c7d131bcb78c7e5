"""Vectors for what needs them: each distinct text is embedded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from reindex.build.isolate import encode_each
from reindex.build.plan import Batch, Candidate, Need, Target, Task, Write
from reindex.build.report import Counts
from reindex.point_ids import unpack_id
from reindex.protocols import DeadLetterSink, Encoder, RememberingEncoder
from reindex.records import PayloadChange, Point, PointId, StoredPoint, Vector

RetrieveVectors = Callable[[list[PointId]], dict[PointId, StoredPoint]]

Vectors = Mapping[str, Vector]
"""text hash -> unit vector."""


class Texts(Protocol):
    """Text hash -> packed id of a point that has the text's vector; a `SortedRuns`, for one."""

    def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key, or None."""

    def add(self, key: bytes, value: bytes = b"") -> None:
        """Keep ``value`` under ``key``."""


class RecentVectors:
    """The vectors of the last ``limit`` distinct texts, by text hash."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[str, Vector] = OrderedDict()

    def take(self, text_hash: str) -> Vector | None:
        """The vector, which becomes the most recent one, or None."""
        vector = self._kept.get(text_hash)
        if vector is not None:
            self._kept.move_to_end(text_hash)
        return vector

    def keep(self, text_hash: str, vector: Vector) -> None:
        """Keep a copy (a row would hold the memory of its whole batch)."""
        self._kept[text_hash] = vector.copy()
        if len(self._kept) > self._limit:
            self._kept.popitem(last=False)


class Embedder:
    """Batches of work -> writes.

    A text's vector is taken from the recent ones, else from a point of this run that has it (the
    index on disk says which), else from what the encoder remembers, else it is embedded.
    """

    def __init__(
        self,
        target: Target,
        encoder: Encoder,
        retrieve: RetrieveVectors,
        texts: Texts,
        recent: RecentVectors,
        dead: DeadLetterSink,
        counts: Counts,
    ) -> None:
        self._target = target
        self._encoder = encoder
        self._memory = encoder if isinstance(encoder, RememberingEncoder) else None
        self._retrieve = retrieve
        self._texts = texts
        self._recent = recent
        self._dead = dead
        self._counts = counts
        self._refused: dict[str, str] = {}

    def write_of(self, batch: Batch) -> Write:
        """Embed what must be embedded and form the points."""
        for text_hash, key in batch.current:
            self._texts.add(bytes.fromhex(text_hash), key)
        write = Write()
        embedding = [task for task in batch.tasks if task.need is not Need.PAYLOAD]
        vectors = self._vectors([task.candidate for task in embedding])
        refused = [task for task in embedding if task.candidate.text_hash not in vectors]
        self._bury(refused)
        for task in batch.tasks:
            if task not in refused:
                self._form(task, vectors, write)
        for task in embedding:
            if task in refused:
                continue
            self._texts.add(bytes.fromhex(task.candidate.text_hash), task.candidate.key)
        return write

    def _bury(self, refused: list[Task]) -> None:
        """Documents whose text the encoder could not embed: dead letters, to be tried again."""
        for task in refused:
            reason, id = self._refused[task.candidate.text_hash], task.candidate.document.id
            self._dead.add(file=self._target.source, line=0, reason=reason, id=id)
        self._counts.failed += len(refused)
        self._counts.reused -= len(refused)

    def _form(self, task: Task, vectors: Vectors, write: Write) -> None:
        candidate, stamp = task.candidate, self._target.stamp(task.candidate, task.seen)
        payload = candidate.document.payload
        if task.need is not Need.INSERT:
            write.seen[candidate.id] = task.seen
        if task.need is Need.PAYLOAD:
            write.changes.append(PayloadChange(candidate.id, payload, stamp))
            return
        point = Point(candidate.id, vectors[candidate.text_hash], payload, stamp)
        (write.inserts if task.need is Need.INSERT else write.updates).append(point)

    def _vectors(self, candidates: list[Candidate]) -> Vectors:
        texts = {candidate.text_hash: candidate.document.text for candidate in candidates}
        vectors = {key: kept for key in texts if (kept := self._recent.take(key)) is not None}
        vectors |= self._stored(key for key in texts if key not in vectors)
        vectors |= self._recalled([key for key in texts if key not in vectors])
        vectors |= self._encoded({key: texts[key] for key in texts if key not in vectors})
        self._counts.reused += len(candidates)
        return vectors

    def _stored(self, hashes: Iterable[str]) -> dict[str, Vector]:
        """Vectors of points that this run has met or written with the same text."""
        wanted = list(hashes)
        found = self._texts.find([bytes.fromhex(text_hash) for text_hash in wanted])
        donors = {
            text_hash: unpack_id(key)
            for text_hash, key in zip(wanted, found, strict=True)
            if key is not None
        }
        if not donors:
            return {}
        points = self._retrieve(list(donors.values()))
        vectors = {}
        for text_hash, id in donors.items():
            point = points.get(id)
            if point and point.vector is not None and self._target.holds(point.stamp, text_hash):
                vectors[text_hash] = point.vector
                self._recent.keep(text_hash, point.vector)
        return vectors

    def _recalled(self, hashes: list[str]) -> dict[str, Vector]:
        """Vectors that an earlier run embedded, whatever collection it was for."""
        if not hashes or self._memory is None:
            return {}
        vectors = self._memory.recall(hashes)
        self._counts.cached += len(vectors)
        self._counts.reused -= len(vectors)
        for text_hash, vector in vectors.items():
            self._recent.keep(text_hash, vector)
        return vectors

    def _encoded(self, texts: dict[str, str]) -> dict[str, Vector]:
        if not texts:
            return {}
        encoded = encode_each(self._encoder, texts)
        self._refused = encoded.refused
        vectors = encoded.vectors
        self._counts.embedded += len(vectors)
        self._counts.reused -= len(vectors)
        for text_hash, vector in vectors.items():
            self._recent.keep(text_hash, vector)
        if self._memory is not None:
            self._memory.remember(vectors)
        return vectors
