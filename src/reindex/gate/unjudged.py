"""A gate where nobody judged: a recorded comparison without judgements, and its figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reindex.evaluation.figure import Figure
from reindex.evaluation.figures import unjudged_figures
from reindex.evaluation.unjudged import UnjudgedComparison
from reindex.gate.decision import Condition
from reindex.gate.defaults import drift_fact, search_facts
from reindex.registry import Registry
from reindex.registry.ledger import BuiltCollection, StoredComparison
from reindex.registry.result_book import ResultBook, StoredUnjudged
from reindex.registry.serving_plans import ServingPlans


def latest_unjudged(
    registry: Registry,
    built: BuiltCollection,
    live: str | None,
    judged: StoredComparison | None,
) -> StoredUnjudged | None:
    """The newest one of exactly this build with exactly what is live, if it is newer than the
    ``judged`` one.
    """
    live_built = None if live is None else registry.collection(live)
    for stored in ResultBook(registry).unjudged(built.name):
        encoding = stored.result.get("candidate", {}).get("encoding")
        same = (stored.candidate_build, encoding) == (built.build, built.encoding)
        if stored.live_collection != live or not same:
            continue
        if live_built is not None and stored.live_build != live_built.build:
            continue
        newer = judged is None or stored.created_at > judged.created_at
        return stored if newer else None
    return None


def compared_freely(stored: StoredUnjudged) -> Condition:
    """That there is one; what it must show is for the conditions to say."""
    told = f"comparison {stored.id} without judgements, {stored.result['queries']:,} queries"
    return Condition("comparison", "pass", told, "a recorded comparison of this build")


def free_figures(
    registry: Registry, built: BuiltCollection, stored: StoredUnjudged, facts: Iterable[Figure]
) -> Mapping[str, Figure]:
    """What such a comparison shows, with ``facts``, by name."""
    found = UnjudgedComparison.from_dict(stored.result)
    since = search_facts(found.candidate, ServingPlans(registry).settings_of(built))
    writes = int(stored.result.get("candidate_writes", 0))  # of an older release: all since then
    return unjudged_figures(found, facts, [drift_fact(built, writes)], since)
