"""Reading a collection's points and counting what is wrong with them. Memory stays flat."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from reindex.corpus.frameworks import StoredText
from reindex.inspection.findings import Finding, Severity
from reindex.records import PointId, StoredPoint, payload_hash, text_hash
from reindex.stores.layout import MAX_NORM_ERROR

Deleted = Callable[[Sequence[PointId]], Mapping[PointId, int]]
"""Those of some points whose last single write was a delete, with its rev."""

EXAMPLES = 3
UNREADABLE = 0.9
"""From this share on, texts that do not have their stamp's hash were read from the wrong fields."""


def _none_deleted(_: Sequence[PointId]) -> Mapping[PointId, int]:
    return {}


@dataclass(slots=True)
class Problem:
    """How many points have it, and some of them."""

    count: int = 0
    examples: list[PointId] = field(default_factory=list)

    def add(self, id: PointId) -> None:
        """One more."""
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(id)


class PointScan:
    """Counts over all points that are handed to `add`. ``text`` reads their texts."""

    def __init__(self, text: StoredText, deleted: Deleted = _none_deleted) -> None:
        self.text, self._deleted = text, deleted
        self.points = self.stamped = 0
        self.payload_bytes = 0
        self.lengths: list[float] = [float("inf"), 0.0]
        self.found: dict[str, Problem] = {name: Problem() for name in _CHECKS}
        self.origins: Counter[tuple[str, str, str]] = Counter()

    def add(self, page: Sequence[StoredPoint]) -> None:
        """Count one page."""
        self.points += len(page)
        deleted = self._deleted([point.id for point in page])
        for point in page:
            if point.stamp is not None and 0 < point.stamp.rev < deleted.get(point.id, 0):
                self.found["deleted"].add(point.id)
            self._vector(point)
            self._payload(point)

    def _vector(self, point: StoredPoint) -> None:
        if point.vector is None:
            self.found["no vector"].add(point.id)
        elif not np.isfinite(point.vector).all():
            self.found["not finite"].add(point.id)
        else:
            length = float(np.linalg.norm(point.vector))
            if length == 0:
                self.found["zero"].add(point.id)
                return
            self.lengths = [min(self.lengths[0], length), max(self.lengths[1], length)]
            if abs(length - 1) > MAX_NORM_ERROR:
                self.found["not of unit length"].add(point.id)

    def _payload(self, point: StoredPoint) -> None:
        self.payload_bytes += len(json.dumps(point.payload, default=str))
        text, stamp = self.text(point.payload), point.stamp
        if not text:
            self.found["no text"].add(point.id)
        if stamp is None:
            self.found["no stamp"].add(point.id)
            return
        self.stamped += 1
        self.origins[(stamp.space, stamp.encoding, stamp.build)] += 1
        if text and stamp.text_hash != text_hash(text):
            self.found["stale"].add(point.id)
        elif stamp.payload_hash != payload_hash(point.payload):
            self.found["edited"].add(point.id)

    def findings(self, *, ours: bool, distance: str) -> Iterator[Finding]:
        """What was counted, as findings. ``ours``: a build of ours made the collection."""
        for name, problem in self.found.items():
            if problem.count and (check := _CHECKS[name]) and self._counts(name, ours, distance):
                message = check[1].format(count=f"{problem.count:,}", points=f"{self.points:,}")
                yield Finding(check[0], name, message, check[2], tuple(problem.examples))
        yield from self._lengths(distance)
        yield from self._origins()
        if ours and self._unreadable:
            yield Finding(
                "warning", "stale", "the texts could not be read from the payloads as they were "
                f"embedded (tried: {self.text}), so stale points cannot be told.",
                "Name the fields with --text-key.",
            )  # fmt: skip

    @property
    def _unreadable(self) -> bool:
        return bool(self.stamped) and self.found["stale"].count > UNREADABLE * self.stamped

    def _counts(self, name: str, ours: bool, distance: str) -> bool:
        if name in ("no stamp", "edited"):
            return ours
        if name == "stale":
            return not self._unreadable
        return name != "not of unit length" or distance == "Cosine"

    def _lengths(self, distance: str) -> Iterator[Finding]:
        """Under a dot product lengths decide the order as well."""
        odd = self.found["not of unit length"]
        if distance == "Cosine" or not odd.count:
            return
        usable = self.points - sum(
            self.found[name].count for name in ("no vector", "not finite", "zero")
        )
        kind = "all" if odd.count == usable else f"{odd.count:,} of {usable:,}"
        yield Finding(
            "warning", "not of unit length",
            f"{kind} vectors are not of unit length (from {self.lengths[0]:.3g} to "
            f"{self.lengths[1]:.3g}), and {distance} ranks by length, too.",
            "A new version's vectors are of unit length, so its order is cosine's.",
            tuple(odd.examples),
        )  # fmt: skip

    def _origins(self) -> Iterator[Finding]:
        for place, name in enumerate(("space", "encoding", "build")):
            values = Counter[str]()
            for origin, count in self.origins.items():
                values[origin[place]] += count
            if len(values) > 1:
                shown = ", ".join(f"{value[:12]}… ({n:,})" for value, n in values.most_common(4))
                yield Finding(
                    "error" if name == "space" else "warning", f"mixed {name}",
                    f"points of {len(values)} {name}s are mixed: {shown}.",
                    "Run `reindex build` for the collection's version: it converges.",
                )  # fmt: skip


_CHECKS: dict[str, tuple[Severity, str, str]] = {
    "no vector": (
        "error", "{count} of {points} points have no vector: no search finds them.",
        "Embed them again where they are written; in a collection of ours `reindex build` does.",
    ),
    "not finite": (
        "error", "{count} vectors hold NaN or infinity: their distances are no numbers.",
        "Embed these points again.",
    ),
    "zero": (
        "error", "{count} vectors are zero: they have no direction to compare by.",
        "Embed these points again; often an empty text, or a failed call whose answer was stored.",
    ),
    "not of unit length": (
        "warning", "{count} of {points} vectors are not of unit length.",
        "Cosine collections hold unit vectors; whoever wrote these went past the engine.",
    ),
    "no text": (
        "warning", "{count} of {points} points have no text: they cannot be embedded anew.",
        "They will be dead letters of a build from this collection. Another field? --text-key",
    ),
    "no stamp": (
        "warning", "{count} of {points} points bear no stamp: a client wrote them past reindex.",
        "`reindex build` takes over those that the source has.",
    ),
    "stale": (
        "warning", "{count} points' texts are not the ones that were embedded.",
        "Somebody edited the payload and not the vector: `reindex build` embeds them again.",
    ),
    "deleted": (
        "warning", "{count} points were deleted by single writes and are there all the same.",
        "A write that the server applied late? Delete them again (`Indexer.delete`). Where "
        "`reindex status` shows owed writes, those come first.",
    ),
    "edited": (
        "info", "{count} payloads were edited since they were written; the texts are the same.",
        "`reindex build` brings back the source's payload.",
    ),
}  # fmt: skip
"""check -> severity, message, advice."""
