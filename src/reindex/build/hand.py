"""A part of a run's work that any process can do which reaches the store, and its own source.

The run hands out `Unit`s of documents that nobody else has; a `Hand` looks them up, embeds,
writes, reads back and mends with the run's own stages, and tells what it did (`Done`). What must
be seen as a whole stays with the run: which ids it has met, deletes by single writes, dead
letters, texts and vectors that are there already, pace, progress, the sweep. See `delegate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from reindex.build.embed import Embedder, RecentVectors
from reindex.build.lookup import Lookup
from reindex.build.mend import Mender
from reindex.build.plan import Candidate, Target
from reindex.build.report import Counts
from reindex.build.write import Writer
from reindex.protocols import DocumentSource, Encoder, Store
from reindex.records import Document, PointId, Stamp, Vector


@dataclass(frozen=True, slots=True)
class Orders:
    """What is the same for all units of a run.

    Attributes:
        target: what points are stamped with, and what is left alone.
        collection: physical name.
        flush_every: points between two flushes.
        with_payload: look up payloads, too: the collection was adopted.
        remember: tell the vectors that were embedded.
    """

    target: Target
    collection: str
    flush_every: int
    with_payload: bool = False
    remember: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """Documents to take care of.

    Attributes:
        candidates: hashed; no two have the same point id, here or in another unit.
        damaged: those of their points that lack a vector.
        donors: text hash -> packed id of a point of this run that has the text's vector.
        known: text hash -> vector that an earlier run embedded.
        again: somebody was lost who had it, and may have written some of it.
    """

    candidates: list[Candidate]
    damaged: frozenset[PointId] = frozenset()
    donors: Mapping[str, bytes] = field(default_factory=dict)
    known: Mapping[str, Vector] = field(default_factory=dict)
    again: bool = False

    def lost(self) -> Unit:
        """The same for somebody else, after whoever had it was lost."""
        return replace(self, again=True)


@dataclass(slots=True)
class Done:
    """What became of a unit.

    Attributes:
        counts: of this unit.
        tasks: documents that needed something.
        dead: arguments of `DeadLetterSink.add`.
        inserted: stamps of the points that were, or may have been, inserted, and are still there.
        vanished: stamps of points that were written, but gone at once, and why is not known here.
        changed: documents that changed at the source since they were read.
        texts: (text hash, packed point id): where vectors are by now.
        vectors: text hash -> vector, of texts that were embedded.
    """

    counts: Counts = field(default_factory=Counts)
    tasks: int = 0
    dead: list[dict[str, Any]] = field(default_factory=list)
    inserted: list[Stamp] = field(default_factory=list)
    vanished: list[Stamp] = field(default_factory=list)
    changed: list[Document] = field(default_factory=list)
    texts: list[tuple[bytes, bytes]] = field(default_factory=list)
    vectors: dict[str, Vector] = field(default_factory=dict)


class Crew(Protocol):
    """Hands elsewhere, at work at the same time."""

    @property
    def unit(self) -> int:
        """Documents per unit."""

    def work(
        self, orders: Orders, source: DocumentSource, units: Iterator[Unit | None]
    ) -> Iterator[tuple[Unit, Done]]:
        """Each unit, and what became of it, in any order.

        ``units`` is asked whenever a hand is free; None is "not now, once more is done". Whatever
        it or a hand raises is raised here once all that was handed out is done and was given.
        """


class Hand:
    """Does units, one at a time; several may share one encoder and store.

    Args:
        orders: of the run.
        source: asked again after inserts, where it can be; None: it cannot.
        encoder, store: of this process.
    """

    def __init__(
        self, orders: Orders, source: DocumentSource | None, encoder: Encoder, store: Store
    ) -> None:
        self._orders, self._source = orders, source
        self._encoder, self._store = encoder, store

    def work(self, unit: Unit) -> Done:
        """Look up, embed, write, read back and mend.

        Raises:
            Exception: whatever encoder, store or source raise; what was written stays.
        """
        done, orders, store = Done(), self._orders, self._store
        counts, letters, texts = done.counts, _Letters(done.dead), _Texts(unit.donors, done.texts)
        mender = _Mender(
            orders.target, self._source, None, store, orders.collection, counts
        )  # fmt: skip
        retrieve = partial(store.retrieve, orders.collection)
        lookup = Lookup(
            orders.target, partial(retrieve, with_payload=orders.with_payload), None,
            set(unit.damaged), letters, counts,
        )  # fmt: skip
        embedder = Embedder(
            orders.target, _Knowing(self._encoder, unit.known, done.vectors),
            partial(retrieve, with_vector=True), texts, RecentVectors(len(unit.candidates)),
            letters, counts,
        )  # fmt: skip
        writer = Writer(
            store, orders.collection, orders.flush_every, mender, counts, letters
        )  # fmt: skip
        batch = lookup.decided(unit.candidates)
        writer.drain([embedder.write_of(batch)])
        counts.documents, counts.unchanged = batch.documents, batch.unchanged
        if unit.again:
            self._mend_all(unit, mender, counts)
        done.tasks, done.changed = len(batch.tasks), mender.take_changed()
        done.inserted, done.vanished = mender.checked, mender.vanished
        if not orders.remember:
            done.vectors.clear()
        return done

    def _mend_all(self, unit: Unit, mender: _Mender, counts: Counts) -> None:
        """Mend what the one who was lost may have inserted: it looked current just now."""
        ids = [candidate.id for candidate in unit.candidates]
        found = self._store.retrieve(self._orders.collection, ids).values()
        known = set(mender.checked)
        stamps = [point.stamp for point in found if point.stamp and point.stamp not in known]
        own = [stamp for stamp in stamps if stamp.build == self._orders.target.build]
        inserted = counts.inserted
        mender.check(own)
        counts.inserted = inserted  # they were not counted as such


class _Mender(Mender):
    """Remembers what it was asked about and could not explain: a delete by a single write may."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.checked: list[Stamp] = []
        self.vanished: list[Stamp] = []

    def check(self, inserted: Sequence[Stamp]) -> None:
        before = len(self.vanished)
        super().check(inserted)
        self.checked += self.vanished[before:]
        del self.vanished[before:]

    def gone(self, stamps: Sequence[Stamp]) -> dict[PointId, Stamp]:
        gone = super().gone(stamps)
        self.vanished += [stamp for stamp in stamps if stamp not in gone.values()]
        return gone


class _Texts:
    """The run's texts that matter here, and those that are added."""

    def __init__(self, donors: Mapping[str, bytes], added: list[tuple[bytes, bytes]]) -> None:
        self._donors, self._added = donors, added

    def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self._donors.get(key.hex()) for key in keys]

    def add(self, key: bytes, value: bytes = b"") -> None:
        self._added.append((key, value))


class _Knowing:
    """Implements ``protocols.RememberingEncoder`` with the vectors that came with a unit."""

    def __init__(
        self, encoder: Encoder, known: Mapping[str, Vector], fresh: dict[str, Vector]
    ) -> None:
        self._known, self._fresh = known, fresh
        self.space, self.encoding, self.dim = encoder.space, encoder.encoding, encoder.dim
        self.encode_documents: Callable[[Sequence[str]], Vector] = encoder.encode_documents
        self.encode_queries: Callable[[Sequence[str]], Vector] = encoder.encode_queries

    def recall(self, hashes: Sequence[str]) -> dict[str, Vector]:
        return {key: self._known[key] for key in hashes if key in self._known}

    def remember(self, vectors: Mapping[str, Vector]) -> None:
        self._fresh.update(vectors)


class _Letters:
    """Implements ``protocols.DeadLetterSink``: to be told to the run's own."""

    def __init__(self, kept: list[dict[str, Any]]) -> None:
        self._kept = kept

    def add(self, **letter: Any) -> None:
        self._kept.append(letter)

    def ok(self, rows: int = 1) -> None:
        """Rows were counted where they were read."""

    @property
    def count(self) -> int:
        return len(self._kept)

    @property
    def ids(self) -> frozenset[int | str]:
        given: Iterable[Any] = (letter.get("id") for letter in self._kept)
        return frozenset(id for id in given if id is not None)
