"""The keys of ``[gate]`` as rules, and the figures that no comparison holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reindex.config import GateSettings
from reindex.config.conditions import parse_rule
from reindex.evaluation.figure import Figure
from reindex.evaluation.results import SideRecord
from reindex.gate.decision import Condition
from reindex.gate.rules import hold
from reindex.registry.ledger import BuiltCollection, StoredComparison
from reindex.registry.serving_plans import SearchSettings


@dataclass(frozen=True, slots=True)
class _Default:
    """A rule of the default gate; ``{key}`` stands for the key's number, in the rule's unit."""

    name: str
    figure: str
    relation: str
    key: str | None = None
    unit: str = ""

    def text(self, gate: GateSettings) -> str:
        number = 0.0 if self.key is None else float(getattr(gate, self.key))
        shown = number * 100 if self.unit == "%" else number
        return f"{self.figure} {self.relation} {shown:g}{self.unit}"


DEFAULTS = (
    _Default("coverage", "coverage", ">=", "min_coverage", "%"),
    _Default("build", "unfinished", "<="),
    _Default("two-stage", "two_stage.loss", "<=", "max_two_stage_loss", "%"),
    _Default("latency", "latency.p50_ms", "<=", "max_latency_ms", "ms"),
    _Default("search settings", "retuned", "<="),
    _Default("drift", "drift", "<=", "max_drift", "%"),
    _Default("protected", "protected.failed", "<="),
    _Default("leakage", "leakage.exact", "<="),
    _Default("near leakage", "leakage.near", "<="),
    _Default("leaked answers", "leakage.positives", "<=", "max_leaked_positives", "%"),
    _Default("other writers", "unstamped", "<=", "max_unstamped"),
)
"""What every promotion must show beside the judged metric: see docs/promotion.md for the sources.

A figure that does not exist asks for nothing: a single layout has no first stage.
"""


def default_conditions(gate: GateSettings, figures: Mapping[str, Figure]) -> Iterator[Condition]:
    """The default rules, held against those figures that there are."""
    for default in DEFAULTS:
        if default.figure in figures:
            rule = parse_rule(default.text(gate))
            yield hold(rule, figures[default.figure], default.name)


def build_facts(built: BuiltCollection) -> Iterator[Figure]:
    """Figures of the candidate's collection."""
    sentence = f"{built.points:,} points for {built.source_documents:,} documents."
    yield Figure("coverage", built.coverage, "%", sentence)
    if not built.complete:
        yield Figure("unfinished", 1, "count", "The last build did not finish.")


def comparison_facts(built: BuiltCollection, stored: StoredComparison) -> Iterator[Figure]:
    """Figures of what became of the candidate since, and of where its training comes from."""
    yield drift_fact(built, stored.candidate_writes)
    if not stored.result.get("leakage"):  # of a release that kept the count alone
        told = "Judged queries in the training data."
        yield Figure("leakage.exact", stored.leaked, "count", told)


def drift_fact(built: BuiltCollection, writes: int) -> Figure:
    """How much changed since a comparison; ``writes`` is what had changed by then."""
    changed = built.writes - writes
    drift = changed / built.points if built.points else 0.0
    sentence = f"{changed:,} of {built.points:,} points changed since the comparison."
    return Figure("drift", drift, "%", sentence)


def search_facts(compared: SideRecord, now: SearchSettings) -> Iterator[Figure]:
    """Whether the candidate is searched as it was when it was compared; nothing where it is."""
    before = SearchSettings(compared.oversampling, compared.hnsw_ef)
    if before != now:
        sentence = f"Compared with {before}; it is searched with {now} now: compare again."
        yield Figure("retuned", 1, "count", sentence)


def live_facts(live: str, unstamped: int | None) -> Iterator[Figure]:
    """Whoever writes there goes on after the flip, with the old model, to what nobody searches."""
    if unstamped is not None:
        sentence = (
            f"Points in {live} written by another client: stop it, then `reindex sync --repair`."
        )
        yield Figure("unstamped", unstamped, "count", sentence)
