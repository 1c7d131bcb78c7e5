"""What the registry holds beside the comparison itself: other candidates, traffic, the watch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from reindex.config import Settings
from reindex.evaluation.resampling import PairedDifference
from reindex.evaluation.results import Comparison
from reindex.evaluation.statistics import Verdict
from reindex.registry import Registry
from reindex.registry.canaries import Canaries
from reindex.registry.interactions import INTERACTIONS_NAME, Interactions
from reindex.registry.ledger import StoredComparison
from reindex.registry.watches import Watches, WatchRecord
from reindex.rollout.standing import Standing, stand


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """A candidate that was compared at once with the report's version, that one included.

    ``difference`` has the interval of the candidate's place; ``p_value`` is Holm's.
    """

    version: str
    comparison: int
    place: int
    difference: PairedDifference
    p_value: float
    verdict: Verdict


def family_rows(
    registry: Registry, stored: StoredComparison, comparison: Comparison
) -> tuple[FamilyRow, ...]:
    """The candidates of one `compare v2 v3 …`, the strongest first; none where there was one."""
    if comparison.family is None:
        return ()
    near = len(comparison.family.candidates)  # one run records them one after the other
    rows: dict[str, FamilyRow] = {}
    for other in registry.comparisons():
        if abs(other.id - stored.id) >= near or other.candidate in rows:
            continue
        read = Comparison.from_dict(other.result)
        if other.live_build == stored.live_build and _same_run(read, comparison):
            rows[other.candidate] = _row(other, read)
    return tuple(sorted(rows.values(), key=lambda row: row.place))


def _same_run(one: Comparison, other: Comparison) -> bool:
    if one.family is None or other.family is None:
        return False
    same = (one.judged_set, one.metric) == (other.judged_set, other.metric)
    return same and one.family.candidates == other.family.candidates


def _row(stored: StoredComparison, read: Comparison) -> FamilyRow:
    assert read.family is not None
    return FamilyRow(
        stored.candidate, stored.id, read.family.place, read.family.difference,
        read.family.p_value, read.verdict,
    )  # fmt: skip


def rollout_of(registry: Registry, settings: Settings, version: str) -> Standing | None:
    """How the version's canary or shadow stands, or stood; None where the last was another's."""
    canaries = Canaries(registry)
    last = canaries.last(settings.alias)
    file = settings.home / INTERACTIONS_NAME
    if last is None or last.version != version or not file.exists():
        return None
    with closing(Interactions(file)) as interactions:
        return stand(last, canaries.phases(last.id), interactions, settings.rollout, time.time())


def watch_of(registry: Registry, collection: str) -> WatchRecord | None:
    """The watch over the newest promotion of a collection; None where nobody watched it."""
    return next(_watches(registry, collection), None)


def _watches(registry: Registry, collection: str) -> Iterator[WatchRecord]:
    for flip in registry.promotions(state="done"):
        if flip.kind == "promote" and flip.to_collection == collection:
            record = Watches(registry).of(flip.id)
            if record is not None and record.state != "baseline":
                yield record
