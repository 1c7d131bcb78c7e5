"""Converge: make a collection equal to its source.

One operation behind build, resume and sync. Documents are read, hashed and looked up in one
thread, embedded in the calling one and written in a third, behind bounded queues::

    source ─► Reader ─► Lookup ─► Embedder ─► Writer ─► (complete?) ─► Sweep
              thread              caller      thread                   caller

Reading and looking up share a thread because both hold the interpreter's lock: two were no faster.
With a `hand.Crew`, others do all between reading and the sweep, with the same stages.

See docs/build.md for what is promised and what is not.
"""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

from reindex.build.delegate import Delegate, Fresh
from reindex.build.delete import Sweep
from reindex.build.embed import Embedder, RecentVectors
from reindex.build.hand import Crew, Orders
from reindex.build.lookup import Lookup, Reader
from reindex.build.mend import Mender
from reindex.build.plan import Batch, Guard, Target, Write
from reindex.build.report import BuildReport, Counts
from reindex.build.spill import SortedRuns
from reindex.build.threads import Channel, Stages
from reindex.build.write import Writer
from reindex.config import BuildSettings
from reindex.errors import BuildError, RunStopped, SpaceMismatch
from reindex.point_ids import KEY_BYTES, point_key
from reindex.protocols import (
    CopiedSource,
    DeadLetterSink,
    DocumentSource,
    Encoder,
    Pace,
    PartialSource,
    Progress,
    RememberingEncoder,
    RereadableSource,
    Store,
    no_pace,
    no_progress,
)

__all__ = ["BuildReport", "converge"]

QUEUE = 2
"""Batches that wait between two stages: enough to even out, few enough to forget."""

RECENT_TEXTS = 4096
"""Vectors kept in memory for texts that come again soon (6 MB at 384 dims)."""

MEND_ROUNDS = 3
"""How often documents that change while they are copied are written again; the next run goes on."""

NOBODY_ELSE = Guard()
"""Nobody else writes, apart from what a run sees anyway."""

PROGRESS_INTERVAL = 0.1
"""Seconds between two progress calls, at least."""


def converge(  # noqa: PLR0913 (three rooms and what identifies the run)
    source: DocumentSource,
    encoder: Encoder,
    store: Store,
    collection: str,
    *,
    build: str,
    rev: int,
    dead: DeadLetterSink,
    settings: BuildSettings,
    batch_size: int,
    allow_deletes: bool = False,
    guard: Guard = NOBODY_ELSE,
    crew: Crew | None = None,
    progress: Progress = no_progress,
    pace: Pace = no_pace,
) -> BuildReport:
    """Make ``collection`` equal to ``source``. Idempotent; an interrupted run is simply run again.

    Args:
        source: Read once, completely.
        encoder: Embeds whole batches in the calling thread.
        store: Holds the collection, whose metadata names the encoder's space and encoding.
        collection: Physical name; it exists.
        build: The build id in the collection's metadata.
        rev: The registry's number of this run; greater than that of every run before. Points with
            a greater one are newer writes, and left alone.
        dead: Takes the rows that cannot be used. Called from three threads.
        settings: Durability and the limit on deletes.
        batch_size: Documents per unit of work.
        allow_deletes: Delete even more than ``settings.allow_deletes`` of the collection.
        guard: What else to respect of those who write at the same time.
        crew: Does what `encoder` and ``store`` would do here for each document, elsewhere.
        progress: Called in this thread, ten times a second at most.
        pace: Asked in this thread before each batch, and before anything is deleted.

    Raises:
        SpaceMismatch: the collection's vectors are of another space than the encoder's.
        BuildError: the collection is of another encoding, dimension or build.
        TooManyDeletes: the source lacks too much of the collection; the rest is done.
        RunStopped: ``pace`` said so; its ``report`` holds what was done until then.
        Exception: whatever a stage raises. What was written until then is durable, nothing was
            deleted, and no thread is left.
    """
    started = time.perf_counter()
    _check(encoder, store, collection, build)
    target = Target(
        source.name,
        encoder.space,
        encoder.encoding,
        build,
        rev,
        copies=isinstance(source, CopiedSource),
        adopted=guard.adopted,
        careful=guard.careful,
    )
    run = _Run(target, source, store, collection, settings, dead, guard)
    before = dead.count

    def report(stopped: str | None = None) -> BuildReport:
        return BuildReport.of(
            run.counts,
            dead=dead.count - before,
            points=store.count(collection),
            seconds=time.perf_counter() - started,
            stopped=stopped,
        )

    try:
        meter = _Meter(progress, source.count())
        if crew is None:
            run.stream(encoder, batch_size, meter, pace)
        else:
            run.delegate(crew, encoder, meter, pace)
        pace(0)
    except RunStopped as stop:
        stop.report = report(str(stop))
        raise
    run.sweep(allow_deletes)
    return report()


def _check(encoder: Encoder, store: Store, collection: str, build: str) -> None:
    """Refuse a collection that this encoder and build must not write to."""
    info = store.info(collection)
    found = info.metadata.get("space")
    if found != encoder.space:
        raise SpaceMismatch(
            f"{collection} holds vectors of the space {found!r}; the encoder's is "
            f"{encoder.space!r}. Build into this version's own collection."
        )
    expected = {"encoding": encoder.encoding, "build": build}
    for key, value in expected.items():
        if info.metadata.get(key) != value:
            raise BuildError(
                f"{collection} has the {key} {info.metadata.get(key)!r}; this run has {value!r}. "
                "Use the artifact that the collection was built with, or build a new collection."
            )
    if info.dim != encoder.dim:
        raise BuildError(
            f"{collection} holds vectors of {info.dim} dimensions; the encoder gives "
            f"{encoder.dim}. Build a new collection."
        )


class Again(NamedTuple):
    """The stages, for documents that are to be written once more."""

    reader: Reader
    lookup: Lookup
    embedder: Embedder
    writer: Writer
    mender: Mender


class _Run:
    """One run: the stages, wired, and what they count."""

    def __init__(
        self,
        target: Target,
        source: DocumentSource,
        store: Store,
        collection: str,
        settings: BuildSettings,
        dead: DeadLetterSink,
        guard: Guard,
    ) -> None:
        self.target, self.source = target, source
        self.store, self.collection = store, collection
        self.settings, self.dead, self.guard = settings, dead, guard
        self.counts = Counts()
        self.ids = SortedRuns(key=KEY_BYTES)
        self.texts = SortedRuns(key=16, value=KEY_BYTES)
        self._again: Again

    def stream(self, encoder: Encoder, batch_size: int, meter: _Meter, pace: Pace) -> None:
        """Read, look up, embed and write, all at the same time, until the source is exhausted."""
        reader = Reader(self.target.source, self.dead, batch_size)
        lookup = self._lookup()
        embedder = self._embedder(encoder, batch_size)
        mender = self._mender(self.source)
        writer = self._writer(mender)
        with Stages() as stages:
            found = stages.attach(Channel[Batch](QUEUE))
            ready = stages.attach(Channel[Write](QUEUE), drain=True)

            def look_up() -> None:
                documents = self.source.documents(self.dead)
                candidates = reader.batches(documents, lambda: stages.failed)
                found.fill(lookup.batches(candidates, batch_size))

            stages.start("reindex-lookup", look_up)
            stages.start("reindex-write", lambda: writer.drain(ready), reads=ready)
            for batch in found:
                pace(len(batch.tasks))
                ready.put(embedder.write_of(batch))
                self._count(batch)
                meter(self.counts.documents)
        self._again = Again(reader, lookup, embedder, writer, mender)
        self._write_again()
        meter(self.counts.documents, last=True)

    def delegate(self, crew: Crew, encoder: Encoder, meter: _Meter, pace: Pace) -> None:
        """The same by a crew: read and met here, the rest wherever its hands are."""
        reader, lookup = Reader(self.target.source, self.dead, crew.unit), self._lookup()
        orders = Orders(
            self.target, self.collection, self.settings.flush_every,
            with_payload=self.guard.careful or self.guard.adopted,
            remember=isinstance(encoder, RememberingEncoder),
        )  # fmt: skip
        mender = self._mender(None)  # hands ask the source again themselves
        delegate = Delegate(
            crew, orders, self.source, encoder=encoder, texts=self.texts,
            damaged=lookup.damaged, mender=mender, dead=self.dead, counts=self.counts, pace=pace,
        )  # fmt: skip
        with Stages() as stages:
            pages = stages.attach(Channel[Fresh](QUEUE * QUEUE))

            def look_up() -> None:
                documents = self.source.documents(self.dead)
                for page in reader.batches(documents, lambda: stages.failed):
                    fresh = lookup.fresh(page)
                    pages.put(Fresh(fresh, len(page) - len(fresh)))
                pages.finish()

            stages.start("reindex-read", look_up)
            delegate.run(pages, lambda: meter(self.counts.documents))
        rest = self._mender(self.source)
        rest.remember(mender.take_changed())
        embedder = self._embedder(encoder, crew.unit)
        self._again = Again(reader, lookup, embedder, self._writer(rest), rest)
        self._write_again()
        meter(self.counts.documents, last=True)

    def _write_again(self) -> None:
        """Documents that changed after they were read, a few times."""
        again = self._again
        for _ in range(MEND_ROUNDS):
            changed = again.mender.take_changed()
            if not changed:
                break
            batches = again.lookup.again(again.reader.batches(changed, _never))
            again.writer.drain(map(again.embedder.write_of, batches))

    def sweep(self, allow: bool) -> None:
        """Delete what the source no longer has, unless the counts show that there is nothing.

        Every enumerated id that is in the collection was counted; if the collection has no more
        points than that, none is left over. (Where others write too, a count says little.)
        """
        if isinstance(self.source, PartialSource):
            return
        counts = self.counts
        expected = counts.found + counts.appeared
        quiet = not isinstance(self.source, RereadableSource)
        if quiet and self.store.count(self.collection) == expected:
            return
        dead = frozenset(filter(None, map(_key_of, self.dead.ids)))
        sweep = Sweep(
            self.store, self.collection, self.target, self.source, self.ids, dead, counts,
            self.guard.originals,
        )  # fmt: skip
        try:
            counts.contended += sweep.run(
                self.settings.allow_deletes, allow=allow, deleted=self._deleted
            )
        finally:
            if counts.deleted:
                self.store.flush(self.collection)
        self._again.mender.remember(sweep.returned.values())
        self._write_again()

    def _mender(self, source: DocumentSource | None) -> Mender:
        return Mender(
            self.target, source, self.guard.tombstones, self.store, self.collection, self.counts
        )

    def _writer(self, mender: Mender) -> Writer:
        return Writer(
            self.store, self.collection, self.settings.flush_every, mender, self.counts, self.dead
        )

    def _lookup(self) -> Lookup:
        damaged = self.store.missing_vectors(self.collection)
        retrieve = partial(
            self.store.retrieve,
            self.collection,
            with_payload=self.guard.careful or self.guard.adopted,
        )
        return Lookup(
            self.target, retrieve, self.ids, damaged, self.dead, self.counts,
            self.guard.tombstones, self._mender(None).bury,
        )  # fmt: skip

    def _embedder(self, encoder: Encoder, batch_size: int) -> Embedder:
        in_flight = (QUEUE + 2) * 2 * batch_size  # points that are not in the store yet
        recent = RecentVectors(max(RECENT_TEXTS, in_flight))
        retrieve = partial(self.store.retrieve, self.collection, with_vector=True)
        return Embedder(self.target, encoder, retrieve, self.texts, recent, self.dead, self.counts)

    def _count(self, batch: Batch) -> None:
        self.counts.documents += batch.documents
        self.counts.unchanged += batch.unchanged

    def _deleted(self, points: int) -> None:
        self.counts.deleted += points


def _never() -> bool:
    return False


def _key_of(id: int | str) -> bytes | None:
    """The packed point id of a dead letter; None where no point can have such an id."""
    try:
        return point_key(id)[1]
    except UnicodeEncodeError:
        return None


class _Meter:
    """Passes progress on, now and then."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress, self._total = progress, total
        self._last = float("-inf")

    def __call__(self, done: int, *, last: bool = False) -> None:
        now = time.monotonic()
        if last or now - self._last >= PROGRESS_INTERVAL:
            self._last = now
            self._progress("build", done, self._total)
