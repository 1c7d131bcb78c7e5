"""What a build counts while it runs, and tells at its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace


@dataclass(slots=True)
class Counts:
    """What happened so far; each field is written by one stage only.

    ``found`` and ``appeared`` are enumerated ids that were in the collection or were put there;
    ``gone`` are documents that were deleted at the source after they had been read, ``buried``
    those that a single write had deleted before.
    """

    documents: int = 0
    unchanged: int = 0
    embedded: int = 0
    cached: int = 0
    reused: int = 0
    inserted: int = 0
    updated: int = 0
    payload_only: int = 0
    contended: int = 0
    conflicts: int = 0
    failed: int = 0
    newer: int = 0
    overtaken: int = 0
    gone: int = 0
    buried: int = 0
    found: int = 0
    appeared: int = 0
    deleted: int = 0
    spared: int = 0


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a run of `converge` did.

    Attributes:
        documents: good rows that the source gave and that nobody deleted meanwhile.
        inserted, updated, payload_only, unchanged, deleted: points, by what was done to them;
            ``payload_only`` kept their vectors.
        embedded: texts that the encoder embedded; ``cached``: texts whose vectors an earlier run
            had embedded; ``reused``: points that were written with the vector of an equal text.
        dead: dead letters of this run, duplicates and conflicts included.
        contended: points that somebody else wrote during the run; they are left as they are.
        newer: points left because they are newer than the run: single writes, or edits of a
            collection that is live already. They do not make the run incomplete.
        conflicts: documents whose point belongs to another source or another document id.
        points: points in the collection at the end.
        complete: every good document is in the collection as the source has it, that is, the run
            came to its end and nothing failed, was contended or in conflict.
        failed: documents whose text the encoder could not embed, or whose point the store could
            not take (`reindex retry-failed`).
        stopped: why the run ended early, on purpose; None where it came to its end.
    """

    documents: int
    inserted: int
    updated: int
    payload_only: int
    unchanged: int
    deleted: int
    embedded: int
    reused: int
    dead: int
    contended: int
    conflicts: int
    newer: int
    points: int
    complete: bool
    seconds: float
    documents_per_second: float
    stopped: str | None = None
    cached: int = 0
    failed: int = 0

    @classmethod
    def of(
        cls, counts: Counts, *, dead: int, points: int, seconds: float, stopped: str | None = None
    ) -> BuildReport:
        """The report of a run that came to its end, or was ``stopped``."""
        return cls(
            documents=counts.documents - counts.gone - counts.buried,
            inserted=counts.inserted,
            updated=counts.updated,
            payload_only=counts.payload_only,
            unchanged=counts.unchanged,
            deleted=counts.deleted,
            embedded=counts.embedded,
            cached=counts.cached,
            failed=counts.failed,
            reused=counts.reused,
            dead=dead,
            contended=counts.contended,
            conflicts=counts.conflicts,
            newer=counts.newer + counts.overtaken + counts.spared,
            points=points,
            complete=not (counts.contended or counts.conflicts or counts.failed or stopped),
            seconds=seconds,
            documents_per_second=counts.documents / seconds if seconds else 0.0,
            stopped=stopped,
        )


def sum_of(reports: Iterable[BuildReport]) -> BuildReport:
    """Several passes over one collection as one run: counts add up, the last one's points stay."""
    first, *others = reports
    for other in others:
        first = replace(
            other,
            **{
                item.name: getattr(first, item.name) + getattr(other, item.name)
                for item in fields(BuildReport)
                if item.name in _ADDED
            },
            complete=first.complete and other.complete,
        )
    rate = first.documents / first.seconds if first.seconds else 0.0
    return replace(first, documents_per_second=rate)


_ADDED = {item.name for item in fields(BuildReport)} - {
    "points", "complete", "stopped", "documents_per_second"
}  # fmt: skip
