"""Which judged queries a candidate's training has seen, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reindex.evaluation.results import Comparison
    from reindex.evaluation.results_leakage import Leak, LeakageReport

NAMED = 5
"""Queries that are named of each kind; all are in --json."""


def leaks(comparison: Comparison) -> Iterator[str]:
    """A line of each kind that there is, and what could not be looked for."""
    report = comparison.leakage
    if report is None:
        return
    version = comparison.candidate.version
    kinds = (
        ("judged queries are in the training data of", report.exact),
        ("judged queries have a near-duplicate in the training data of", report.near or ()),
        ("judged queries have an answer that is a training positive of", report.positives or ()),
    )
    for what, found in kinds:
        if found:
            yield f"{len(found)} {what} {version}: {_named(found)}"
    yield from _blind(report, version)


def _named(found: Sequence[Leak]) -> str:
    names = [
        f"{leak.query} '{' '.join(leak.text.split())[:60]}'"
        + (f" ({leak.similarity:.0%} alike)" if leak.similarity < 1 else "")
        for leak in found[:NAMED]
    ]
    more = [f"and {len(found) - NAMED} more (--json)"] if len(found) > NAMED else []
    return ", ".join([*names, *more])


def _blind(report: LeakageReport, version: str) -> Iterator[str]:
    if report.versions and (report.near is None or report.positives is None):
        yield (
            f"The training of {', '.join(report.versions)} kept no sketches (of an older "
            f"release): whether {version} saw near-duplicates of judged queries cannot be told."
        )
