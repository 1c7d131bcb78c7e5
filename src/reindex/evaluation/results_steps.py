"""Where a comparison's change comes from: what each step from the model to serving costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StepName = Literal["quantization", "truncation", "index"]
BLAMED_FROM = 0.01
"""Relative loss from which a step is named, if its interval excludes none: what the gate's default
lets two-stage search lose."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step costs a side in the judged metric, on the same queries before and after it.

    ``loss`` is before − after; ``relative`` its share of before, with the interval ``low`` to
    ``high`` (cluster bootstrap). Negative: the step happened to help. ``documents`` are those that
    were searched: for quantization a subset, else the whole collection.
    """

    name: StepName
    before: float
    after: float
    loss: float
    relative: float
    low: float
    high: float
    documents: int
    queries: int

    @property
    def blamed(self) -> bool:
        """Whether it is shown to lose, and enough to matter."""
        return self.low > 0 and self.relative >= BLAMED_FROM


@dataclass(frozen=True, slots=True)
class SideSteps:
    """The way of one side's figure on the whole collection, from full precision to serving.

    ``fp32`` − the losses of ``steps`` = ``served``. None where no fp32 graph was at hand: the way
    then begins at ``exact``. ``estimated``: quantization was measured on a subset, and ``fp32`` is
    ``exact`` plus that loss. Without a truncated first stage there is no step ``truncation``.
    """

    fp32: float | None
    exact: float
    served: float
    estimated: bool
    steps: tuple[Step, ...]

    def step(self, name: StepName) -> Step | None:
        """One step, or None where this side has it not."""
        return next((step for step in self.steps if step.name == name), None)

    def lost(self, name: StepName) -> float:
        """Its absolute loss; 0 for a step that this side does not have."""
        step = self.step(name)
        return step.loss if step else 0.0

    @property
    def blamed(self) -> tuple[Step, ...]:
        """Steps that are shown to cost something that matters, the worst first."""
        found = [step for step in self.steps if step.blamed]
        return tuple(sorted(found, key=lambda step: -step.relative))


@dataclass(frozen=True, slots=True)
class Part:
    """What one cause adds to candidate − live, in the metric's own unit."""

    name: str
    change: float


@dataclass(frozen=True, slots=True)
class Steps:
    """Both sides' ways, and the parts of the change, which sum to that of search as it serves.

    ``metric`` is the judged one, as it is written (``ndcg@10``).
    """

    metric: str
    live: SideSteps
    candidate: SideSteps
    parts: tuple[Part, ...]

    @property
    def cause(self) -> Part:
        """The part that moved the figure most."""
        return max(self.parts, key=lambda part: abs(part.change))
