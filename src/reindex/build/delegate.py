"""Handing a run's work out to a `Crew`, and taking back what it did. For one thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

from reindex.build.hand import Crew, Done, Orders, Unit
from reindex.build.mend import Mender
from reindex.build.plan import Candidate
from reindex.build.report import Counts
from reindex.build.spill import SortedRuns
from reindex.protocols import DeadLetterSink, DocumentSource, Encoder, Pace, RememberingEncoder
from reindex.records import PointId

HELD_UNITS = 8
"""Units' worth of documents that may wait because their text is being embedded elsewhere."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """Documents of a page of the source that are to be done, and how many are not."""

    candidates: list[Candidate]
    skipped: int


class Delegate:
    """The run's side: forms units, so that equal texts are embedded once, and takes results.

    Args:
        crew: who works.
        orders, source: of the run.
        encoder: what remembers vectors, where it does.
        texts: of the run: text hash -> a point that has its vector.
        damaged: points of the collection that lack a vector.
        mender: looks for deletes by single writes.
        dead, counts: of the run.
        pace: asked before a unit is handed out.
    """

    def __init__(  # noqa: PLR0913 (what a run consists of)
        self,
        crew: Crew,
        orders: Orders,
        source: DocumentSource,
        *,
        encoder: Encoder,
        texts: SortedRuns,
        damaged: set[PointId],
        mender: Mender,
        dead: DeadLetterSink,
        counts: Counts,
        pace: Pace,
    ) -> None:
        self._crew, self._orders, self._source = crew, orders, source
        self._memory = encoder if isinstance(encoder, RememberingEncoder) else None
        self._texts, self._damaged, self._mender = texts, damaged, mender
        self._dead, self._counts, self._pace = dead, counts, pace
        self._busy: set[str] = set()
        self._held: dict[str, list[Candidate]] = {}
        self._ready: deque[Candidate] = deque()
        self._owed = 0
        self._error: BaseException | None = None

    def run(self, pages: Iterable[Fresh], told: Callable[[], None]) -> None:
        """Have all documents done; ``told`` is called after each unit.

        Raises:
            RunStopped: ``pace`` said so. As after any other error, what was handed out is done.
        """
        for unit, done in self._crew.work(self._orders, self._source, self._units(pages)):
            try:
                self._take(unit, done)
                told()
            except BaseException as error:  # raised once all that was handed out is done
                self._error = self._error or error
        if self._error is not None:
            raise self._error

    def _units(self, pages: Iterable[Fresh]) -> Iterator[Unit | None]:
        stream = iter(pages)
        more = True
        while more or self._held or self._ready:
            if self._error is not None:
                return
            full = self._waiting() > HELD_UNITS * self._crew.unit
            if more and not full and len(self._ready) < self._crew.unit:
                page = next(stream, None)
                more = page is not None
                if page is not None:
                    self._counts.documents += page.skipped
                    self._sort(page.candidates)
                    continue
            chosen = self._chosen()
            if not chosen:
                if self._busy:
                    yield None
                continue
            self._pace(self._owed)
            self._owed = 0
            yield self._unit(chosen)

    def _sort(self, candidates: Iterable[Candidate]) -> None:
        """Those whose text somebody embeds just now wait for it."""
        for candidate in candidates:
            if candidate.text_hash in self._busy:
                self._held.setdefault(candidate.text_hash, []).append(candidate)
            else:
                self._ready.append(candidate)

    def _chosen(self) -> list[Candidate]:
        """The next ones, as many as a unit takes."""
        chosen: list[Candidate] = []
        while self._ready and len(chosen) < self._crew.unit:
            candidate = self._ready.popleft()
            if candidate.text_hash in self._busy:  # it went out since it was sorted
                self._held.setdefault(candidate.text_hash, []).append(candidate)
            else:
                chosen.append(candidate)
        return chosen

    def _waiting(self) -> int:
        return sum(map(len, self._held.values()))

    def _unit(self, candidates: list[Candidate]) -> Unit:
        hashes = list({candidate.text_hash for candidate in candidates})
        self._busy.update(hashes)
        found = self._texts.find([bytes.fromhex(item) for item in hashes])
        donors = {item: key for item, key in zip(hashes, found, strict=True) if key is not None}
        unknown = [item for item in hashes if item not in donors]
        known = self._memory.recall(unknown) if self._memory is not None else {}
        damaged = self._damaged.intersection(candidate.id for candidate in candidates)
        return Unit(candidates, frozenset(damaged), donors, known)

    def _take(self, unit: Unit, done: Done) -> None:
        for key, point in done.texts:
            self._texts.add(key, point)
        for item in {candidate.text_hash for candidate in unit.candidates}:
            self._busy.discard(item)
            self._ready.extendleft(self._held.pop(item, ()))
        if self._memory is not None:
            self._memory.remember(done.vectors)
        for counted in fields(Counts):
            if more := getattr(done.counts, counted.name):  # others are the reading thread's
                setattr(self._counts, counted.name, getattr(self._counts, counted.name) + more)
        self._owed += done.tasks
        self._mender.check(done.inserted)
        gone = len(self._mender.gone(done.vanished))
        self._counts.gone += gone
        self._counts.contended -= gone
        self._mender.remember(done.changed)
        for letter in done.dead:
            self._dead.add(**letter)
