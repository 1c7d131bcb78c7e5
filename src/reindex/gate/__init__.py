"""The gate: what a candidate must show before the alias moves."""

from reindex.gate.deciding import decide, known_figures
from reindex.gate.decision import Condition, GateDecision

__all__ = ["Condition", "GateDecision", "decide", "known_figures"]
