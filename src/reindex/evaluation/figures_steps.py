"""Figures of where the change comes from: ``step.quantization.loss``, ``step.model.change``."""

from __future__ import annotations

from collections.abc import Iterator

from reindex.evaluation.figure import Figure
from reindex.evaluation.results import Comparison
from reindex.evaluation.results_steps import SideSteps

WHAT = {
    "quantization": "What the graph that serves loses against fp32, on the subset",
    "truncation": "What a truncated first stage loses against exact search",
    "index": "What the approximate index loses against scanning",
}


def step_figures(c: Comparison) -> Iterator[Figure]:
    """The candidate's losses as ``step.NAME.loss``, live's as ``step.live.NAME.loss``; and what
    each adds to the change, in the judged metric's own unit, as ``step.NAME.change``.
    """
    if c.steps is None:
        return
    confidence = c.judged.confidence
    yield from _losses("step", "the candidate", c.steps.candidate, confidence)
    yield from _losses("step.live", "live", c.steps.live, confidence)
    for part in c.steps.parts:
        yield Figure(
            f"step.{part.name.replace(' ', '_')}.change",
            part.change,
            "",
            f"What {part.name} adds to the change of {c.steps.metric}.",
            signed=True,
        )


def _losses(prefix: str, side: str, way: SideSteps, confidence: float) -> Iterator[Figure]:
    for step in way.steps:
        yield Figure(
            f"{prefix}.{step.name}.loss",
            step.relative,
            "%",
            f"{WHAT[step.name]}, {side}; relative.",
            low=step.low,
            high=step.high,
            confidence=confidence,
        )
