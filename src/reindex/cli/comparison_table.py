"""A comparison as tables for people. Signs and words carry the meaning; colour only repeats it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from reindex.cli.agreement_table import agreement_parts
from reindex.cli.folds_table import folds
from reindex.cli.sheets import NOTHING, Sheet
from reindex.cli.sheets import line as _line
from reindex.cli.sheets import sheet as _table
from reindex.cli.slices_table import protected, slices
from reindex.cli.steps_table import steps
from reindex.evaluation.power import in_words
from reindex.evaluation.statistics import percent, percent_range
from reindex.evaluation.storage import storage_in_words
from reindex.measures import label

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from reindex.evaluation.power import Power
    from reindex.evaluation.resampling import PairedDifference
    from reindex.evaluation.results import (
        Comparison,
        Example,
        Latency,
        StageRow,
        SubsetReport,
    )
    from reindex.evaluation.results_bounds import Bounds

VERDICTS = {
    "pass": ("PASS", "bold green"),
    "fail": ("FAIL", "bold red"),
    "inconclusive": ("INCONCLUSIVE", "bold yellow"),
}
SHOWN_EXAMPLES = 5


def render_comparison(comparison: Comparison, console: Console) -> None:
    """Print everything that the comparison found, the verdict last. Fits 80 columns and more."""
    console.print(_heading(comparison))
    for section in SECTIONS:
        for part in section(comparison):
            console.print(part)
    console.print(_verdict(comparison))


def _heading(c: Comparison) -> RenderableType:
    title = Text.assemble(
        ("Comparison  ", "bold"),
        f"live {c.live.version}  →  candidate ",
        (c.candidate.version, "bold"),
    )
    counted = (
        f"{c.queries:,} judged queries in {c.groups:,} independent groups; "
        f"{c.live.points:,} and {c.candidate.points:,} documents"
    )
    return Padding(Group(title, Text(counted, style="dim")), (1, 0, 0, 0))


def _metrics(c: Comparison) -> Iterator[RenderableType]:
    table = _table("Search as it serves", "metric", "live", "candidate", *_effect_heads(c))
    for row in c.metrics:
        mark = " *" if row.name == c.metric else ""
        table.add_row(f"{label(row.name)}{mark}", *_effect(row.difference))
    yield table
    d = c.judged
    yield _line(
        f"* judged: better on {d.wins:,} queries, worse on {d.losses:,}, equal on {d.ties:,}. "
        f"Nobody judged {_share(c.unjudged.live, c.unjudged.of)} (live) and "
        f"{_share(c.unjudged.candidate, c.unjudged.of)} (candidate) of the results; they count "
        "as not relevant."
    )
    if c.bounds:
        yield _line(_turning(c.bounds))
    if storage := storage_in_words(c):
        yield _line(storage)


def _turning(bounds: Bounds) -> str:
    found = (
        f"Found by one side alone and not judged: {bounds.live_only:,} results (live), "
        f"{bounds.candidate_only:,} (candidate). If those that speak for live were relevant, the "
        f"change would be {percent(bounds.against.relative)}; for the candidate, "
        f"{percent(bounds.in_favour.relative)}."
    )
    if bounds.turning is None:
        return found
    return f"{found} The verdict turns at {percent(bounds.turning, sign=False)} of one side's."


def _shown(c: Comparison) -> Iterator[RenderableType]:
    rows = [(row, row.judged, row.power) for row in c.metrics]
    if not any(power for _, _, power in rows):
        return
    table = _table("What these queries can show", "metric", "verdict", "a change", "a pass", "more")
    for row, judged, power in rows:
        if judged and power:
            mark = " *" if row.name == c.metric else ""
            table.add_row(f"{label(row.name)}{mark}", judged.verdict, *_power(power))
    yield table
    yield _line(
        "True changes that are told from none, or pass the gate, with 80 % power; queries that are "
        "missing for a verdict. Only * decides."
    )


def _power(power: Power) -> tuple[str, ...]:
    return (
        NOTHING if power.detectable is None else f"±{percent(power.detectable, sign=False)}",
        NOTHING if power.passable is None else percent(power.passable),
        NOTHING if power.more_queries is None else f"{power.more_queries:,}",
    )


def _effect_heads(c: Comparison) -> tuple[str, ...]:
    return ("change", f"{c.judged.confidence * 100:g} % interval", "p")


def _effect(d: PairedDifference) -> tuple[str, ...]:
    return (
        f"{d.mean_live:.3f}",
        f"{d.mean_candidate:.3f}",
        percent(d.relative),
        percent_range(d.low, d.high),
        "<0.001" if d.p_value < 0.001 else f"{d.p_value:.3f}",
    )


def _serving(c: Comparison) -> Iterator[RenderableType]:
    table = _table(
        f"recall@{c.k} of exact search and as served; latency",
        "side",
        "exact",
        "served",
        "lost",
        "median",
        "p95",
        "encode",
        "search",
    )
    for name, stage, latency in (
        ("live", c.live_stage, c.live_latency),
        ("candidate", c.candidate_stage, c.candidate_latency),
    ):
        table.add_row(name, *_stage(stage), *_latency(latency))
    yield table
    yield _line(f"Served by {_how(c)}. {_timed(c.candidate_latency)}")


def _stage(row: StageRow) -> tuple[str, ...]:
    return f"{row.exact:.3f}", f"{row.served:.3f}", percent(row.loss, sign=False)


def _latency(row: Latency) -> tuple[str, ...]:
    return tuple(
        f"{value:.1f} ms"
        for value in (row.p50_ms, row.p95_ms, row.encode_p50_ms, row.search_p50_ms)
    )


def _how(c: Comparison) -> str:
    side = c.candidate
    if side.layout == "single":
        return "one search on full vectors"
    first = f"first {side.prefix_dim} of {side.dim} dims, {side.oversampling} × {c.k} candidates"
    return f"two-stage search (candidate: {first})"


def _timed(row: Latency) -> str:
    return f"Times of {row.queries} queries one at a time; encode and search are medians."


def _subset(c: Comparison) -> Iterator[RenderableType]:
    if c.subset is None:
        return
    yield _dimensions(c.subset, c.k)
    if c.subset.precision:
        yield _precision(c.subset, c)
    yield _line(
        f"On a subset: {c.subset.documents:,} documents, {c.subset.queries:,} queries, exact "
        "search. Compare within these tables only."
    )


def _dimensions(subset: SubsetReport, k: int) -> Sheet:
    table = _table(f"recall@{k} by dimension", "dims", "live", "kept", "candidate", "kept")
    for row in subset.dimensions:
        live = _score_and_share(row.live, row.live_kept)
        table.add_row(f"{row.dim}", *live, *_score_and_share(row.candidate, row.candidate_kept))
    return table


def _score_and_share(score: float | None, share: float | None) -> tuple[str, str]:
    return (
        NOTHING if score is None else f"{score:.3f}",
        NOTHING if share is None else percent(share, sign=False),
    )


def _precision(subset: SubsetReport, c: Comparison) -> Sheet:
    title = f"{c.candidate.version}: fp32 against the graph that serves (int8)"
    table = _table(title, "metric", "fp32", "served", "change")
    for row in subset.precision:
        table.add_row(label(row.name), f"{row.fp32:.3f}", f"{row.served:.3f}", percent(row.change))
    return table


def _baselines(c: Comparison) -> Iterator[RenderableType]:
    if not c.baselines:
        return
    others = [base.name for base in c.baselines]
    table = _table("Beside another retriever", "metric", "live", "candidate", *others)
    for row in c.metrics:
        means = [row.difference.mean_live, row.difference.mean_candidate]
        means += [base.means.get(row.name, math.nan) for base in c.baselines]
        table.add_row(label(row.name), *(f"{mean:.3f}" for mean in means))
    yield table


def _variants(c: Comparison) -> Iterator[RenderableType]:
    if not c.variants:
        return
    title = f"{label(c.metric)} with other wordings of the queries (not judged)"
    table = _table(title, "wording", "live", "candidate", *_effect_heads(c))
    for variant in c.variants:
        difference = next(row.difference for row in variant.metrics if row.name == c.metric)
        table.add_row(variant.label, *_effect(difference))
    yield table


def _agreement(c: Comparison) -> Iterable[RenderableType]:
    return agreement_parts(c.agreement) if c.agreement else ()


def _examples(c: Comparison) -> Iterator[RenderableType]:
    for title, examples in (("Biggest wins", c.wins), ("Biggest losses", c.losses)):
        if examples:
            yield _example_table(f"{title}, {label(c.metric)}", examples)


def _example_table(title: str, examples: Sequence[Example]) -> Sheet:
    sheet = _table(title, "query", "live", "candidate")
    sheet.table.expand = True
    sheet.table.columns[0].ratio = 1
    for example in examples[:SHOWN_EXAMPLES]:
        text = Text(" ".join(example.text.split()), no_wrap=True, overflow="ellipsis")
        sheet.table.add_row(text, f"{example.live:.2f}", f"{example.candidate:.2f}")
    return sheet


def _verdict(c: Comparison) -> RenderableType:
    word, style = VERDICTS[c.verdict]
    lines = [Text.assemble(("! ", "bold yellow"), warning) for warning in c.warnings]
    lines.append(Text.assemble((word, style), f"  {label(c.metric)}: {c.reason}"))
    if c.verdict == "inconclusive" and (power := c.metric_row(c.metric).power):
        lines.append(Text(in_words(power)))
    if c.note:
        lines.append(Text(f"Note: {c.note}", style="italic"))
    return Padding(Group(*lines), (1, 0))


SECTIONS: tuple[Callable[[Comparison], Iterable[RenderableType]], ...] = (
    _metrics,
    _shown,
    folds,
    _serving,
    steps,
    slices,
    protected,
    _subset,
    _baselines,
    _variants,
    _agreement,
    _examples,
)


def _share(part: int, whole: int) -> str:
    return percent(part / whole, sign=False) if whole else "none"
