"""Reading, hashing and looking up: which documents need what."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import islice

from reindex.build.plan import Batch, Candidate, Need, Refusal, Target, Task
from reindex.build.report import Counts
from reindex.build.spill import SortedRuns
from reindex.point_ids import point_key
from reindex.protocols import DeadLetterSink, Tombstones
from reindex.records import STAMP_KEY, Document, PointId, StoredPoint

Retrieve = Callable[[list[PointId]], dict[PointId, StoredPoint]]

BATCHES_PER_WORK = 4
"""Documents that may gather before a batch goes on that has fewer texts than a full one."""

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


class Reader:
    """Documents -> candidates, in batches."""

    def __init__(self, source: str, dead: DeadLetterSink, batch_size: int) -> None:
        self._source = source
        self._dead = dead
        self._size = batch_size

    def batches(
        self, documents: Iterable[Document], stopped: Callable[[], bool]
    ) -> Iterator[list[Candidate]]:
        """Hash the documents; ends early once ``stopped`` (asked before each document)."""
        stream = iter(documents)
        while True:
            chunk = list(islice(_until(stream, stopped), self._size))
            if not chunk or stopped():
                return
            yield [candidate for document in chunk if (candidate := self._hashed(document))]

    def _hashed(self, document: Document) -> Candidate | None:
        try:
            return hashed(document)
        except Refusal as refusal:
            reason = str(refusal)
        except UnicodeEncodeError:
            reason = "invalid text: half of a surrogate pair"
        self._dead.add(file=self._source, line=0, reason=reason, id=document.id)
        return None


def _until(stream: Iterator[Document], stopped: Callable[[], bool]) -> Iterator[Document]:
    for document in stream:
        yield document
        if stopped():
            return


def hashed(document: Document) -> Candidate:
    """``point_id``, ``text_hash`` and ``payload_hash`` of the records, at half their cost.

    Raises:
        Refusal: the payload has a field of the stamp's name.
        UnicodeEncodeError: the id or the text has half of a surrogate pair.
    """
    payload = document.payload
    if STAMP_KEY in payload:
        raise Refusal(f"reserved field: the payload has a field {STAMP_KEY!r}")
    id, key = point_key(document.id)
    text = sha256(document.text.encode()).hexdigest()[:32]
    return Candidate(document, id, key, text, sha256(_canonical(payload).encode()).hexdigest()[:32])


class Lookup:
    """Candidates -> batches of work. Knows the ids of the run so far, on disk.

    ``ids`` is None for a part of a run whose ids are met elsewhere: then `decided` alone. ``bury``
    is told which candidates single writes deleted, with the tombstones' revs.
    """

    def __init__(
        self,
        target: Target,
        retrieve: Retrieve,
        ids: SortedRuns | None,
        damaged: set[PointId],
        dead: DeadLetterSink,
        counts: Counts,
        tombstones: Tombstones | None = None,
        bury: Callable[[Mapping[PointId, int]], None] | None = None,
    ) -> None:
        self._tombstones, self._bury = tombstones, bury
        self._target = target
        self._retrieve = retrieve
        self._ids = ids
        self.damaged = damaged
        self._dead = dead
        self._counts = counts

    def batches(self, stream: Iterable[list[Candidate]], size: int) -> Iterator[Batch]:
        """Batches with about ``size`` tasks each, so that the encoder gets full ones."""
        batch = Batch()
        for candidates in stream:
            self._look_up(candidates, batch)
            if len(batch.tasks) >= size or batch.documents >= BATCHES_PER_WORK * size:
                yield batch
                batch = Batch()
        if batch.documents:
            yield batch

    def again(self, stream: Iterable[list[Candidate]]) -> Iterator[Batch]:
        """Batches of documents that this run has met and that have changed since."""
        for candidates in stream:
            batch = Batch()
            self._decide(candidates, batch)
            yield batch

    def fresh(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that this run has not met, and that no single write deleted."""
        return self._unburied(self._first_ones(candidates))

    def decided(self, candidates: list[Candidate]) -> Batch:
        """What `fresh` candidates need."""
        batch = Batch(documents=len(candidates))
        self._counts.found += self._decide(candidates, batch)
        return batch

    def _look_up(self, candidates: list[Candidate], batch: Batch) -> None:
        batch.documents += len(candidates)
        self._counts.found += self._decide(self.fresh(candidates), batch)

    def _decide(self, fresh: list[Candidate], batch: Batch) -> int:
        """Put into the batch what the candidates need; returns how many points there are."""
        stored = self._retrieve([candidate.id for candidate in fresh])
        for candidate in fresh:
            point = stored.get(candidate.id)
            try:
                need = self._target.need(candidate, point, damaged=candidate.id in self.damaged)
            except Refusal as refusal:
                self._counts.conflicts += 1
                self._refuse(candidate, str(refusal))
                continue
            if need is Need.NEWER:
                self._counts.newer += 1
            elif need is Need.NOTHING:
                batch.unchanged += 1
                batch.current.append((candidate.text_hash, candidate.key))
            else:
                batch.tasks.append(Task(candidate, need, point.stamp if point else None))
        return len(stored)

    def _unburied(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that no single write deleted."""
        if self._tombstones is None:
            return candidates
        deleted = self._tombstones.deleted([candidate.id for candidate in candidates])
        if not deleted:
            return candidates
        buried = {
            candidate.id: deleted[candidate.id]
            for candidate in candidates
            if self._target.buried(candidate.document.rev, deleted.get(candidate.id))
        }
        if buried and self._bury:
            self._bury(buried)
        self._counts.buried += len(buried)
        return [candidate for candidate in candidates if candidate.id not in buried]

    def _first_ones(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those whose point id did not come before in this run."""
        fresh = []
        assert self._ids is not None
        earlier = self._ids.find([candidate.key for candidate in candidates])
        here: set[bytes] = set()
        for candidate, before in zip(candidates, earlier, strict=True):
            if before is None and candidate.key not in here:
                here.add(candidate.key)
                fresh.append(candidate)
            else:
                self._refuse(candidate, "duplicate id: an earlier document has the same point id")
        for candidate in fresh:
            self._ids.add(candidate.key)
        return fresh

    def _refuse(self, candidate: Candidate, reason: str) -> None:
        self._dead.add(file=self._target.source, line=0, reason=reason, id=candidate.document.id)
