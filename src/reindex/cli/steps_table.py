"""Where the change comes from, as a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from reindex.cli.sheets import NOTHING, line, sheet
from reindex.evaluation.statistics import percent
from reindex.measures import label

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reindex.cli.sheets import Sheet
    from reindex.evaluation.results import Comparison, SideRecord
    from reindex.evaluation.results_steps import SideSteps, Step, StepName, Steps

_SHOWN: dict[StepName, str] = {
    "quantization": "model's quantization",
    "truncation": "truncation + rescoring",
    "index": "approximate index",
}


def steps(c: Comparison) -> Iterator[RenderableType]:
    """Each step's loss on both sides, what it adds to the change, and what to look at first."""
    if c.steps is None:
        return
    yield _table(c.steps)
    yield line(_measured(c.steps))
    for name, record, side in (
        ("live", c.live, c.steps.live),
        ("candidate", c.candidate, c.steps.candidate),
    ):
        for step in side.blamed:
            yield line(_blame(name, record, step, c.steps.metric))


def _table(found: Steps) -> Sheet:
    heads = ("live", "lost", "candidate", "lost", "of the change")
    shown = sheet(f"Where the change comes from, {label(found.metric)}", "step", *heads)
    parts = {part.name: f"{part.change:+.3f}".replace("-", "−") for part in found.parts}
    live, candidate = found.live, found.candidate
    if live.fp32 is None and candidate.fp32 is None:
        first, figures = "exact search", (f"{live.exact:.3f}", f"{candidate.exact:.3f}")
    else:
        first, figures = "fp32, exact search", (_figure(live), _figure(candidate))
    start = parts.get("model") or parts["model and quantization"]
    shown.add_row(first, figures[0], "", figures[1], "", start)
    for name, title in _SHOWN.items():
        cells = (*_cells(live, name), *_cells(candidate, name))
        if set(cells) != {NOTHING, ""}:
            shown.add_row(title, *cells, parts.get(name, ""))
    change = f"{candidate.served - live.served:+.3f}".replace("-", "−")
    shown.add_row("as served", f"{live.served:.3f}", "", f"{candidate.served:.3f}", "", change)
    return shown


def _figure(side: SideSteps) -> str:
    if side.fp32 is None:
        return NOTHING
    return f"{'~' if side.estimated else ''}{side.fp32:.3f}"


def _cells(side: SideSteps, name: StepName) -> tuple[str, str]:
    """The figure after the step, on the whole collection, and the share that the step cost."""
    step = side.step(name)
    if step is None:
        return NOTHING, ""
    after = side.exact if name == "quantization" else step.after
    return f"{after:.3f}", percent(step.relative, sign=False)


def _measured(found: Steps) -> str:
    text = "Each step is measured on the same queries before and after it; 'lost' is relative."
    subset = next(
        (side.step("quantization") for side in (found.candidate, found.live) if side.estimated),
        None,
    )
    if subset is None:
        return text
    return (
        f"{text} Quantization: on a subset of {subset.documents:,} documents and "
        f"{subset.queries:,} queries, which is easier than the whole; ~ is exact search on the "
        "whole plus that loss."
    )


def _blame(name: str, record: SideRecord, step: Step, metric: str) -> str:
    lost = f"{percent(step.relative, sign=False)} of {label(metric)}"
    between = f"{step.low * 100:.1f} to {percent(step.high, sign=False)}"
    return f"! {name}: {_SHOWN[step.name]} costs {lost} ({between}). {_remedy(record, step.name)}"


def _remedy(side: SideRecord, name: StepName) -> str:
    """What an operator can do about a step."""
    first = f"{side.oversampling} × k candidates by the first {side.prefix_dim} of {side.dim} dims"
    return {
        "quantization": f"Export {side.version} again, or serve a graph that loses less.",
        "truncation": f"The first stage takes {first}: more of either costs less.",
        "index": "The graph misses neighbours: search wider (hnsw_ef), or build it denser.",
    }[name]
