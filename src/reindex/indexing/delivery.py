"""Bringing one collection to the journal's latest state, point by point.

Every write depends on the stamp that was read; afterwards both the points and the journal are read
again. So writers of the same point, in any number of processes, end with the highest rev.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from reindex.build.lookup import hashed
from reindex.build.plan import Candidate, Target
from reindex.errors import SpaceMismatch, StoreError
from reindex.protocols import Encoder, RememberingEncoder, Store
from reindex.records import Document, PayloadChange, Point, PointId, Stamp, StoredPoint, Vector
from reindex.registry.journal import Entry, Journal

ROUNDS = 20
"""Tries while others write the same points; each loses only to a newer write or to a build."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was done: points changed, and by how many the collection grew or shrank."""

    changed: int = 0
    growth: int = 0


@dataclass(slots=True)
class _Plan:
    """One round's writes."""

    inserts: list[Point] = field(default_factory=list)
    updates: list[Point] = field(default_factory=list)
    changes: list[PayloadChange] = field(default_factory=list)
    seen: dict[PointId, Stamp | None] = field(default_factory=dict)
    deletes: dict[PointId, Stamp | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One collection as the receiver of single writes.

    ``source`` stamps the points; those of other sources are taken over. ``encoder`` is asked for
    only where a text must be embedded.
    """

    journal: Journal
    store: Store
    collection: str
    source: str
    space: str
    encoding: str
    build: str
    encoder: Callable[[], Encoder]

    def deliver(self, points: Iterable[PointId]) -> Delivered:
        """Bring these points to their newest journaled state, durably, and mark that.

        Raises:
            StoreError: the store failed, or others kept writing the same points; the journal keeps
                what was not done.
        """
        todo, changed, growth = set(points), 0, 0
        for _ in range(ROUNDS):
            entries = self.journal.latest(todo)
            done = self._attempt(entries)
            changed, growth = changed + done.changed, growth + done.growth
            settled = self._settled(entries)
            newer = self.journal.delivered(self.collection, settled)
            todo = (entries.keys() - settled.keys()) | newer.keys()
            if not todo:
                return Delivered(changed, growth)
        raise StoreError(
            f"{self.collection}: others keep changing {len(todo)} points (for example "
            f"{next(iter(todo))!r}) between reading and writing. Is another project's process "
            "writing to this collection?"
        )

    def _attempt(self, entries: Mapping[PointId, Entry]) -> Delivered:
        stored = self.store.retrieve(self.collection, list(entries))
        plan = self._plan(entries, stored)
        name = self.collection
        if plan.deletes:
            self.store.delete(name, plan.deletes)
        if plan.inserts:
            self.store.insert(name, plan.inserts)
        if plan.updates:
            self.store.update(name, plan.updates, plan.seen)
        if plan.changes:
            self.store.update_payload(name, plan.changes, plan.seen)
        written = len(plan.inserts) + len(plan.updates) + len(plan.changes) + len(plan.deletes)
        if written:
            self.store.flush(name)
        return Delivered(written, len(plan.inserts) - len(plan.deletes))

    def _plan(
        self, entries: Mapping[PointId, Entry], stored: Mapping[PointId, StoredPoint]
    ) -> _Plan:
        plan, embed = _Plan(), list[tuple[Candidate, Stamp, bool]]()
        target = Target(self.source, self.space, self.encoding, self.build, rev=0, copies=True)
        for id, entry in entries.items():
            point = stored.get(id)
            if point is not None and not self._wins(entry, point.stamp):
                continue
            if entry.text is None:
                if point is not None:
                    plan.deletes[id] = point.stamp
                continue
            candidate = hashed(Document(entry.id, entry.text, entry.payload or {}, entry.rev))
            stamp = target.stamp(candidate, None)
            if point is not None:
                plan.seen[id] = point.stamp
            if point is not None and target.holds(point.stamp, candidate.text_hash):
                plan.changes.append(PayloadChange(id, candidate.document.payload, stamp))
            else:
                embed.append((candidate, stamp, point is None))
        self._embed(embed, plan)
        return plan

    def _wins(self, entry: Entry, stamp: Stamp | None) -> bool:
        """Whether the write is newer than the point, or the point a file's."""
        return stamp is None or stamp.source != self.source or stamp.rev < entry.rev

    def _embed(self, needed: list[tuple[Candidate, Stamp, bool]], plan: _Plan) -> None:
        texts = {item.text_hash: item.document.text for item, _, _ in needed}
        if not texts:
            return
        encoder = self.encoder()
        if (encoder.space, encoder.encoding) != (self.space, self.encoding):
            raise SpaceMismatch(
                f"{self.collection} was embedded with the encoding {self.encoding[:12]}…, the "
                f"encoder at hand is {encoder.encoding[:12]}…. Build the collection again."
            )
        vectors = _vectors(encoder, texts)
        for candidate, stamp, absent in needed:
            vector, payload = vectors[candidate.text_hash], candidate.document.payload
            point = Point(candidate.id, vector, payload, stamp)
            (plan.inserts if absent else plan.updates).append(point)

    def _settled(self, entries: Mapping[PointId, Entry]) -> dict[PointId, int]:
        """Points that are as their entries say, or newer, with the entries' revs."""
        stored = self.store.retrieve(self.collection, list(entries))
        return {
            id: entry.rev for id, entry in entries.items() if self._holds(entry, stored.get(id))
        }

    def _holds(self, entry: Entry, point: StoredPoint | None) -> bool:
        if point is None:
            return entry.text is None
        stamp = point.stamp
        if stamp is None or stamp.source != self.source:
            return False
        return stamp.rev > entry.rev or (stamp.rev == entry.rev and entry.text is not None)


def _vectors(encoder: Encoder, texts: Mapping[str, str]) -> dict[str, Vector]:
    """The texts' vectors by text hash: remembered ones, where the encoder does, else embedded."""
    memory = encoder if isinstance(encoder, RememberingEncoder) else None
    known = memory.recall(list(texts)) if memory else {}
    new = {key: text for key, text in texts.items() if key not in known}
    if new:
        rows = encoder.encode_documents(list(new.values()))
        made: dict[str, Vector] = dict(zip(new, rows, strict=True))
        if memory:
            memory.remember(made)
        known |= made
    return known
