"""How far live and candidate agree, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from reindex.cli.sheets import NOTHING, line, sheet
from reindex.evaluation.agreement import QUANTILES
from reindex.evaluation.statistics import percent

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from reindex.evaluation.agreement import Agreement, Likeness
    from reindex.evaluation.results import Latency
    from reindex.evaluation.results_queries import QueryResults, Results
    from reindex.evaluation.unjudged import UnjudgedComparison

SHOWN_QUERIES = 5


def render_unjudged(found: UnjudgedComparison, console: Console) -> None:
    """Print all of it, the missing verdict last. Fits 80 columns and more."""
    title = Text.assemble(
        ("Comparison without judgements  ", "bold"),
        f"live {found.live.version}  →  candidate ",
        (found.candidate.version, "bold"),
    )
    counted = f"{found.queries:,} queries in {found.groups:,} independent groups"
    console.print(Padding(Group(title, Text(counted, style="dim")), (1, 0, 0, 0)))
    for part in agreement_parts(found.agreement):
        console.print(part)
    console.print(_latencies(found.live_latency, found.candidate_latency))
    if found.results is not None and (different := found.results.most_different()):
        console.print(_different(different[:SHOWN_QUERIES], found.results))
    verdict = Text.assemble((found.verdict.upper(), "bold yellow"), f"  {found.reason}")
    note = [Text(f"Note: {found.note}", style="italic")] if found.note else []
    console.print(Padding(Group(verdict, *note), (1, 0)))


def _latencies(live: Latency, candidate: Latency) -> RenderableType:
    table = sheet("Latency, one query at a time", "side", "median", "p95", "encode", "search")
    for name, row in (("live", live), ("candidate", candidate)):
        times = (row.p50_ms, row.p95_ms, row.encode_p50_ms, row.search_p50_ms)
        table.add_row(name, *(f"{value:.1f} ms" for value in times))
    return table


def _different(queries: list[QueryResults], results: Results) -> RenderableType:
    """The most different queries, each with the best result of either side."""
    table = sheet("Most different results: query, then the best of live and of the candidate", "")
    table.table.show_header = False
    for query in queries:
        table.add_row(" ".join(query.text.split()))
        for side, found in (("live", query.live), ("candidate", query.candidate)):
            best = next(iter(found), None)
            table.add_row(f"  {side}: {_named(best, results) if best else 'nothing'}")
    for column in table.table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    return table


def _named(document: str, results: Results) -> str:
    known = results.excerpts.get(document)
    return f"{(known.title or known.text) if known else ''} [{document}]".strip()


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
