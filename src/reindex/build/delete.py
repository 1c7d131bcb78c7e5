"""The last step of a build: delete what the source no longer has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from reindex.build.spill import SortedRuns
from reindex.errors import TooManyDeletes
from reindex.point_ids import pack_id
from reindex.protocols import Store
from reindex.records import PointId, Stamp


@dataclass(frozen=True, slots=True)
class Sweep:
    """Finds and deletes the points of one source that a complete enumeration did not meet.

    ``ids`` are the enumerated ids, ``dead`` the packed point ids of dead letters: both count as
    present in the source.
    """

    store: Store
    collection: str
    source: str
    ids: SortedRuns
    dead: frozenset[bytes]

    def run(self, share: float, *, allow: bool, deleted: Callable[[int], None]) -> int:
        """Delete them, conditional on the stamp that was read; returns how many changed meanwhile.

        The first pass only counts, so that a refusal has deleted nothing.

        Raises:
            TooManyDeletes: more than ``share`` of the collection, and not ``allow``.
        """
        total = self.store.count(self.collection)
        stale, examples = self._count()
        if stale > share * total and not allow:
            raise TooManyDeletes(
                f"{stale:,} of the {total:,} points in {self.collection} are no longer in "
                f"{self.source} (for example {', '.join(map(repr, examples))}); a build deletes at "
                f"most {share:.0%} (build.allow_deletes). Nothing was deleted, the rest is done. "
                "If the source is right, run it again with --allow-deletes."
            )
        contended = 0
        if stale:
            for page in self._pages():
                left = self._delete(page)
                contended += left
                deleted(len(page) - left)
        return contended

    def _count(self) -> tuple[int, list[int | str]]:
        stale, examples = 0, list[int | str]()
        for page in self._pages():
            stale += len(page)
            examples += [stamp.id for stamp in list(page.values())[: 3 - len(examples)]]
        return stale, examples

    def _pages(self) -> Iterator[dict[PointId, Stamp]]:
        """Pages of stale points with the stamps read."""
        for page in self.store.scroll(self.collection):
            own = {
                point.id: point.stamp
                for point in page
                if point.stamp is not None and point.stamp.source == self.source
            }
            keys = [pack_id(id) for id in own]
            met = self.ids.find(keys)
            stale = {
                id: stamp
                for (id, stamp), key, value in zip(own.items(), keys, met, strict=True)
                if value is None and key not in self.dead
            }
            if stale:
                yield stale

    def _delete(self, stale: dict[PointId, Stamp]) -> int:
        """Delete one page; returns how many are still there because they changed meanwhile."""
        self.store.delete(self.collection, stale)
        return len(self.store.retrieve(self.collection, list(stale)))
