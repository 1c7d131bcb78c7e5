"""The gate: what a candidate must show before the alias moves, each condition with its figure.

Reads the registry alone: builds record coverage there, comparisons their result. So the gate can
be asked while another process holds the embedded store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from reindex.config import GateSettings
from reindex.evaluation.compare import Comparison
from reindex.evaluation.statistics import judge, percent
from reindex.measures import parse_measure
from reindex.registry import Registry
from reindex.registry.ledger import BuiltCollection, StoredComparison


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of the gate: its verdict, the figure it saw and what it wanted."""

    name: str
    verdict: str
    figure: str
    required: str


@dataclass(frozen=True, slots=True)
class GateDecision:
    """All conditions together: fail beats inconclusive beats pass."""

    version: str
    collection: str
    live_collection: str | None
    comparison: int | None
    conditions: tuple[Condition, ...]

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


def decide(
    registry: Registry,
    gate: GateSettings,
    *,
    version: str,
    collection: str,
    live: str | None,
    unstamped: int | None = None,
) -> GateDecision:
    """Hold a version's collection against the gate.

    ``live`` is the collection that the alias points at now; None means that there is none yet, so
    that there is nothing to compare against and only coverage counts. ``unstamped`` are points
    of it that other clients wrote; None where that does not matter or cannot be told.
    """
    built = registry.collection(collection)
    if built is None:
        missing = Condition("built", "fail", "no collection", f"`reindex build {version}` first")
        return GateDecision(version, collection, live, None, (missing,))
    if live is None:
        conditions = (
            _coverage(built, gate),
            Condition("comparison", "pass", "first version, nothing is live", "no comparison"),
        )
        return GateDecision(version, collection, live, None, conditions)
    stored = _latest(registry, built, live)
    others = () if unstamped is None else (_others(unstamped, live, gate),)
    if stored is None:
        conditions = (_coverage(built, gate), _uncompared(registry, built, version, live), *others)
        return GateDecision(version, collection, live, None, conditions)
    comparison = Comparison.from_dict(stored.result)
    judged = (
        _metric(comparison, gate),
        _coverage(built, gate),
        *(check(comparison, gate) for check in _COMPARED),
        _drift(built, stored, gate),
        _leakage(stored),
        *others,
    )
    return GateDecision(version, collection, live, stored.id, judged)


def _latest(registry: Registry, built: BuiltCollection, live: str) -> StoredComparison | None:
    """The newest comparison of exactly this build with exactly what is live."""
    for stored in registry.comparisons(built.name):
        same_build = (stored.candidate_build, stored.candidate_encoding) == (
            built.build,
            built.encoding,
        )
        live_built = registry.collection(live)
        if stored.live_collection != live or not same_build:
            continue
        if live_built is None or stored.live_build == live_built.build:
            return stored
    return None


def _uncompared(registry: Registry, built: BuiltCollection, version: str, live: str) -> Condition:
    others = registry.comparisons(built.name)
    figure = "never compared"
    if others:
        figure = f"compared with {others[0].live_collection}, or with another build of it"
    return Condition("comparison", "fail", figure, f"`reindex compare {version}` with live {live}")


def _metric(comparison: Comparison, gate: GateSettings) -> Condition:
    name = str(parse_measure(gate.metric, comparison.k))
    wanted = (
        f"at least {percent(gate.min_effect)} relative, shown"
        if gate.mode == "superiority"
        else f"at most {percent(gate.margin, sign=False)} relative below live, shown"
    )
    if name not in {row.name for row in comparison.metrics}:
        return Condition(name, "fail", "not measured by the comparison: compare again", wanted)
    difference = comparison.row(name)
    judged = judge(difference, mode=gate.mode, min_effect=gate.min_effect, margin=gate.margin)
    return Condition(name, judged.verdict, judged.reason, wanted)


def _coverage(built: BuiltCollection, gate: GateSettings) -> Condition:
    state = "" if built.complete else ", last build did not finish"
    figure = f"{built.points:,} points for {built.source_documents:,} documents{state}"
    verdict = "pass" if built.complete and built.coverage >= gate.min_coverage else "fail"
    return Condition(
        "coverage", verdict, figure, f"{percent(gate.min_coverage, sign=False)} of the source"
    )


def _two_stage(comparison: Comparison, gate: GateSettings) -> Condition:
    loss = comparison.candidate_two_stage_loss
    if loss is None:
        return Condition("two-stage", "pass", "single layout", "no first stage")
    verdict = "pass" if loss <= gate.max_two_stage_loss else "fail"
    figure = f"{percent(loss, sign=False)} of full search's recall lost"
    return Condition(
        "two-stage", verdict, figure, f"at most {percent(gate.max_two_stage_loss, sign=False)}"
    )


def _latency(comparison: Comparison, gate: GateSettings) -> Condition:
    median = comparison.candidate_latency.p50_ms
    verdict = "pass" if median <= gate.max_latency_ms else "fail"
    figure = f"median {median:.1f} ms"
    return Condition("latency", verdict, figure, f"at most {gate.max_latency_ms:g} ms")


_COMPARED: tuple[Callable[[Comparison, GateSettings], Condition], ...] = (_two_stage, _latency)


def _drift(built: BuiltCollection, stored: StoredComparison, gate: GateSettings) -> Condition:
    changed = built.writes - stored.candidate_writes
    drift = changed / built.points if built.points else 0.0
    verdict = "pass" if drift <= gate.max_drift else "fail"
    figure = f"{changed:,} of {built.points:,} points changed since the comparison"
    return Condition("drift", verdict, figure, f"at most {percent(gate.max_drift, sign=False)}")


def _leakage(stored: StoredComparison) -> Condition:
    verdict = "fail" if stored.leaked else "pass"
    figure = f"{stored.leaked} judged queries in the training data"
    return Condition("leakage", verdict, figure, "none")


def _others(unstamped: int, live: str, gate: GateSettings) -> Condition:
    """Whoever writes there goes on after the flip, with the old model, to what nobody searches."""
    verdict = "pass" if unstamped <= gate.max_unstamped else "fail"
    figure = f"{unstamped:,} points in {live} written by another client"
    wanted = f"at most {gate.max_unstamped:,}: stop it, then `reindex sync --repair`"
    return Condition("other writers", verdict, figure, wanted)
