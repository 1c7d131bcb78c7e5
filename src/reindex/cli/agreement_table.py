"""How far live and candidate agree, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reindex.cli.sheets import NOTHING, line, sheet
from reindex.evaluation.agreement import QUANTILES
from reindex.evaluation.statistics import percent

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reindex.evaluation.agreement import Agreement, Likeness


def agreement_parts(found: Agreement) -> Iterator[RenderableType]:
    """Overlap and order, then where the scores lie."""
    yield _likenesses(found)
    yield line(
        f"Of {found.queries:,} queries {found.identical:,} have the same results in the same "
        f"order, {found.same_first:,} the same best one, and {found.disjoint:,} share none."
    )
    yield from _scores(found)


def _likenesses(found: Agreement) -> RenderableType:
    heads = ("mean", f"{found.overlap.confidence * 100:g} % interval", "queries")
    table = sheet("Agreement with live, whoever is right", "measure", *heads)
    for name, likeness in (
        (f"overlap@{found.k}", found.overlap),
        (f"rank-biased overlap@{found.k}", found.rbo),
        ("Kendall's tau of the shared", found.tau),
    ):
        table.add_row(name, *_likeness(likeness))
    return table


def _likeness(found: Likeness | None) -> tuple[str, ...]:
    if found is None:
        return NOTHING, NOTHING, "0"
    return f"{found.mean:.3f}", f"{found.low:.3f} to {found.high:.3f}", f"{found.queries:,}"


def _scores(found: Agreement) -> Iterator[RenderableType]:
    heads = [percent(share, sign=False).replace(".0", "") for share in QUANTILES]
    table = sheet("Scores: the value below which this share of them lies", "scores of", *heads)
    for side, profile in (("live", found.live_scores), ("candidate", found.candidate_scores)):
        for what, values in (("best result", profile.first), ("all results", profile.every)):
            if values:
                table.add_row(f"{side}, {what}", *(f"{value:.3f}" for value in values))
    yield table
    yield line(
        "Two models' scores are not on one scale: neither side is better for scoring higher. A "
        "minimum score that an application uses moves with the column."
    )
    empty = found.live_scores.empty, found.candidate_scores.empty
    if any(empty):
        yield line(f"Queries without any result: {empty[0]:,} (live), {empty[1]:,} (candidate).")
