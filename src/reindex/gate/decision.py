"""What the gate says: every condition with its verdict and its figure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of the gate: its verdict, the figure it saw and what it wanted."""

    name: str
    verdict: str
    figure: str
    required: str


@dataclass(frozen=True, slots=True)
class GateDecision:
    """All conditions together: fail beats inconclusive beats pass.

    ``comparison`` is the number of the judged one that they are about; ``unjudged`` that of one
    without judgements, where the gate does without.
    """

    version: str
    collection: str
    live_collection: str | None
    comparison: int | None
    conditions: tuple[Condition, ...]
    unjudged: int | None = None

    @property
    def verdict(self) -> str:
        """``pass`` only where every condition passes."""
        verdicts = {condition.verdict for condition in self.conditions}
        return next((item for item in ("fail", "inconclusive") if item in verdicts), "pass")

    @property
    def failed(self) -> tuple[Condition, ...]:
        """The conditions that did not pass."""
        return tuple(item for item in self.conditions if item.verdict != "pass")

    def as_list(self) -> list[dict[str, Any]]:
        """The conditions as JSON."""
        return [asdict(condition) for condition in self.conditions]
