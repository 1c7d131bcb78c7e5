"""The last step of a build: delete what the source no longer has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from reindex.build.plan import Target
from reindex.build.report import Counts
from reindex.build.spill import SortedRuns
from reindex.errors import SourceChanged, TooManyDeletes
from reindex.point_ids import pack_id
from reindex.protocols import (
    ChangeableSource,
    CopiedSource,
    DocumentSource,
    KnownPoints,
    RereadableSource,
    Store,
)
from reindex.records import Document, PointId, Stamp, StoredPoint

MOST_RETURNED = 10_000
"""Documents kept that came back while the source was read; more are the next run's business."""

Seen = dict[PointId, Stamp | None]
"""Points to delete, with the stamp that was read (None: they bore none)."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Finds and deletes the points of one source that a complete enumeration did not meet.

    ``ids`` are the enumerated ids, ``dead`` the packed point ids of dead letters: both count as
    present in the source. Points newer than the run are left, and those without a stamp, unless
    they are ``originals``.
    """

    store: Store
    collection: str
    target: Target
    source: DocumentSource
    ids: SortedRuns
    dead: frozenset[bytes]
    counts: Counts
    originals: KnownPoints | None = None
    returned: dict[int | str, Document] = field(default_factory=dict)
    """Documents that were not enumerated and are in the source again when it is asked."""

    def run(self, share: float, *, allow: bool, deleted: Callable[[int], None]) -> int:
        """Delete them, conditional on the stamp that was read; returns how many changed meanwhile.

        The first pass only counts, so that a refusal has deleted nothing.

        Raises:
            TooManyDeletes: more than ``share`` of the collection, and not ``allow``.
            SourceChanged: there is something to delete, and the source changed while it was read.
        """
        total = self.store.count(self.collection)
        stale, examples = self._count()
        if stale > share * total and not allow:
            raise TooManyDeletes(
                f"{stale:,} of the {total:,} points in {self.collection} are no longer in "
                f"{self.source.name} (for example {', '.join(map(repr, examples))}); a build "
                f"deletes at most {share:.0%} (build.allow_deletes). Nothing was deleted, the rest "
                "is done. If the source is right, run it again with --allow-deletes."
            )
        contended = 0
        if stale:
            self._check_unchanged(stale)
            for page in self._pages():
                left = self._delete(page)
                newer = sum(_newer(point.stamp, self.target.rev) for point in left)
                self.counts.spared += newer
                contended += len(left) - newer
                deleted(len(page) - len(left))
        return contended

    def _check_unchanged(self, stale: int) -> None:
        """Half a file that is being written lacks rows that nobody deleted."""
        if isinstance(self.source, ChangeableSource) and (changed := self.source.changed()):
            raise SourceChanged(
                f"{', '.join(changed[:3])} changed while {self.source.name} was read, so it cannot "
                f"be told whether {stale:,} points of {self.collection} are gone from it. Nothing "
                "was deleted, the rest is done. Run it again once the files are quiet."
            )

    def _count(self) -> tuple[int, list[int | str]]:
        stale, examples = 0, list[int | str]()
        for page in self._pages():
            stale += len(page)
            named = [stamp.id if stamp else id for id, stamp in page.items()]
            examples += named[: 3 - len(examples)]
        return stale, examples

    def _pages(self) -> Iterator[Seen]:
        """Pages of stale points with the stamps read."""
        self.counts.spared = 0  # not summed over the two passes
        for page in self.store.scroll(self.collection):
            own = self._own(page)
            keys = [pack_id(id) for id in own]
            met = self.ids.find(keys)
            stale = {
                id: stamp
                for (id, stamp), key, value in zip(own.items(), keys, met, strict=True)
                if value is None and key not in self.dead
            }
            if stale := self._absent(self._older(stale)):
                yield stale

    def _own(self, page: Sequence[StoredPoint]) -> Seen:
        """The points of a page that are the source's to delete."""
        mirror = isinstance(self.source, CopiedSource) and self.source.mirror
        own: Seen = {
            point.id: point.stamp
            for point in page
            if point.stamp is not None and (mirror or point.stamp.source == self.target.source)
        }
        if mirror and self.originals is not None:
            bare = [point.id for point in page if point.stamp is None]
            own |= dict.fromkeys(self.originals.among(bare))
        return own

    def _older(self, stale: Seen) -> Seen:
        older = {id: stamp for id, stamp in stale.items() if not _newer(stamp, self.target.rev)}
        self.counts.spared += len(stale) - len(older)
        if not self.target.careful or not older:
            return older
        stored = self.store.retrieve(self.collection, list(older), with_payload=True)
        return {
            id: older[id]
            for id, point in stored.items()
            if older[id] is None or self.target.untouched(point)
        }

    def _absent(self, stale: Seen) -> Seen:
        """Those that the source, asked again, still does not have."""
        if not stale or not isinstance(self.source, RereadableSource):
            return stale
        ids = {id: stamp.id if stamp else id for id, stamp in stale.items()}
        present = self.source.current(list(ids.values()))
        room = MOST_RETURNED - len(self.returned)
        back = ((id, item) for id, item in present.items() if item is not None)
        self.returned.update(islice(back, max(room, 0)))
        return {id: stamp for id, stamp in stale.items() if ids[id] not in present}

    def _delete(self, stale: Seen) -> list[StoredPoint]:
        """Delete one page; returns what is still there because it changed meanwhile."""
        self.store.delete(self.collection, stale)
        return list(self.store.retrieve(self.collection, list(stale)).values())


def _newer(stamp: Stamp | None, rev: int) -> bool:
    return stamp is not None and stamp.rev > rev
