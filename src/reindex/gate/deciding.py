"""Holding a version's collection against the gate.

Reads the registry alone: builds record coverage there, comparisons their result. So the gate can
be asked while another process holds the embedded store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reindex.config import GateSettings
from reindex.evaluation.compare import Comparison
from reindex.evaluation.figures import Figure, figures
from reindex.evaluation.verdicts import verdict_of
from reindex.gate.approval import approval_condition
from reindex.gate.decision import Condition, GateDecision
from reindex.gate.defaults import (
    build_facts,
    comparison_facts,
    default_conditions,
    live_facts,
    search_facts,
)
from reindex.gate.rules import conditions
from reindex.gate.slices import slice_condition
from reindex.gate.unjudged import compared_freely, free_figures, latest_unjudged
from reindex.measures import parse_measure
from reindex.registry import Registry
from reindex.registry.ledger import BuiltCollection, StoredComparison
from reindex.registry.result_book import StoredUnjudged
from reindex.registry.serving_plans import ServingPlans


def decide(
    registry: Registry,
    gate: GateSettings,
    *,
    version: str,
    collection: str,
    live: str | None,
    unstamped: int | None = None,
    more: Sequence[Figure] = (),
) -> GateDecision:
    """Hold a version's collection against the gate.

    ``live`` is the collection that the alias points at now; None means that there is none yet, so
    that there is nothing to compare against and only coverage counts. ``unstamped`` are points
    of it that other clients wrote; None where that does not matter or cannot be told. ``more``
    are figures from elsewhere, such as a canary's.
    """
    built = registry.collection(collection)
    if built is None:
        missing = Condition("built", "fail", "no collection", f"`reindex build {version}` first")
        return GateDecision(version, collection, live, None, (missing,))
    stored = None if live is None else _latest(registry, built, live)
    free = None if gate.judged else latest_unjudged(registry, built, live, stored)
    known = _known(registry, built, live, unstamped, free or stored, more)
    if live is None:
        first = Condition("comparison", "pass", "first version, nothing is live", "no comparison")
        asked = (*default_conditions(gate, known), first)
    elif free is not None:
        asked = (
            compared_freely(free),
            *default_conditions(gate, known),
            *conditions(gate.conditions, known, k=int(free.result["k"])),
        )
        stored = None
    elif stored is None:
        coverage, *others = default_conditions(gate, known)
        asked = (coverage, _uncompared(registry, built, version, live), *others)
    elif not gate.judged:
        asked = (
            Condition("comparison", "pass", f"comparison {stored.id}", "a recorded comparison"),
            *default_conditions(gate, known),
            *conditions(gate.conditions, known, k=int(stored.result["k"])),
        )
    else:
        comparison = Comparison.from_dict(stored.result)
        asked = (
            _metric(comparison, gate),
            *default_conditions(gate, known),
            *slice_condition(comparison, gate, known),
            *conditions(gate.conditions, known, k=comparison.k),
        )
    compared = stored.id if stored else None
    asked = (*asked, *approval_condition(registry, gate, built, compared))
    return GateDecision(version, collection, live, compared, asked, free.id if free else None)


def known_figures(
    registry: Registry,
    collection: str,
    live: str | None,
    unstamped: int | None = None,
    more: Sequence[Figure] = (),
) -> Mapping[str, Figure]:
    """All that the gate may ask of a collection, by name; see `decide` for the arguments."""
    built = registry.collection(collection)
    if built is None:
        return {}
    stored = None if live is None else _latest(registry, built, live)
    free = None if stored else latest_unjudged(registry, built, live, None)
    return _known(registry, built, live, unstamped, stored or free, more)


def _known(
    registry: Registry,
    built: BuiltCollection,
    live: str | None,
    unstamped: int | None,
    stored: StoredComparison | StoredUnjudged | None,
    more: Sequence[Figure],
) -> Mapping[str, Figure]:
    facts = [*build_facts(built), *(live_facts(live, unstamped) if live else ()), *more]
    if stored is None:
        return {figure.name: figure for figure in facts}
    if isinstance(stored, StoredUnjudged):
        return free_figures(registry, built, stored, facts)
    comparison = Comparison.from_dict(stored.result)
    since = search_facts(comparison.candidate, ServingPlans(registry).settings_of(built))
    return figures(comparison, facts, comparison_facts(built, stored), since)


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
    """The judged metric, by the rule of `verdict_of`, which is more than one bound: see there."""
    name = str(parse_measure(gate.metric, comparison.k))
    wanted = (
        f"{name}.change >= {gate.min_effect * 100:g}%, and > 0% shown"
        if gate.mode == "superiority"
        else f"{name}.change >= {-gate.margin * 100:g}% shown"
    )
    if name not in {row.name for row in comparison.metrics}:
        return Condition(name, "fail", "not measured by the comparison: compare again", wanted)
    judged = verdict_of(comparison, gate)
    return Condition(name, judged.verdict, judged.reason, wanted)
