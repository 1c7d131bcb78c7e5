"""What is measured when a promotion goes live, for whoever watches it afterwards."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import datetime
from typing import Any

from reindex.errors import OwnerError, ReindexError, StoreBusy
from reindex.owner.jobs import job
from reindex.plain import to_plain
from reindex.registry.interactions import INTERACTIONS_NAME, Interactions
from reindex.registry.ledger import Promotion
from reindex.registry.watches import Watches
from reindex.retriever import Request
from reindex.rollout.outcomes import by_key, closed, read_outcomes
from reindex.rollout.retriever import overlap
from reindex.rollout.signals import Asked, Traffic
from reindex.stages.searching import open_retriever
from reindex.workspace import Workspace

logger = logging.getLogger(__name__)

DEPTH = 10
"""Results per query whose overlap is looked at."""

LOGGED = 2000
"""Of the latest logged queries some are drawn."""

MOST_SCORES = 2000
"""Top scores that a baseline keeps."""


def keep_baseline(workspace: Workspace, flip: Promotion) -> None:
    """Measure what has just gone live. A promotion never fails for this."""
    if flip.kind != "promote" or flip.from_collection is None:
        return
    try:
        Watches(workspace.registry).add(flip.id, take_baseline(workspace, flip))
    except Exception as error:
        logger.warning("No baseline for `reindex watch` could be taken: %s", error)


def take_baseline(workspace: Workspace, flip: Promotion) -> dict[str, Any]:
    """What a watch compares with, as JSON types: queries asked now, and searches until the flip."""
    before = flipped_at(flip)
    previous = version_of(workspace, flip.from_collection)
    try:
        asked = ask(workspace, sample_queries(workspace), flip.to_collection, flip.from_collection)
    except (StoreBusy, OwnerError):  # whoever holds the store now; the first round asks instead
        asked = []
    with closing(interactions(workspace)) as file:
        canary = traffic(file, flip.version, 0.0, before, live=False)
        return {
            "asked": to_plain(asked),
            "before": to_plain(traffic(file, previous, 0.0, before)),
            "own": list(canary.scores[-MOST_SCORES:]),
            "successes": successes(workspace, file, previous, 0.0, before, before),
        }


def flipped_at(flip: Promotion) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(flip.finished_at or flip.created_at).timestamp()


def version_of(workspace: Workspace, collection: str | None) -> str:
    """The version of a collection, as far as the registry knows."""
    built = workspace.registry.collection(collection) if collection else None
    return built.version if built else ""


def interactions(workspace: Workspace) -> Interactions:
    """What was recorded so far. To be closed."""
    workspace.recorder.flush()
    return Interactions(workspace.settings.home / INTERACTIONS_NAME)


def traffic(
    file: Interactions, version: str, since: float, until: float, *, live: bool = True
) -> Traffic:
    """The searches that a version answered between two times, as what was live or as a canary.

    (What is live also answers where a canary fails: that is the canary's failure, not its own.)
    """
    sides = "side = 'live'" if live else "side IN ('candidate', 'shadow')"
    found = read_outcomes(
        file,
        f"searches.version = ? AND searches.at > ? AND searches.at <= ? AND {sides}",
        [version, since, until],
    )
    good = [item for item in found if item.error is None]
    return Traffic(
        searches=len(found),
        errors=len(found) - len(good),
        empty=sum(item.found == 0 for item in good),
        scores=tuple(item.top_score for item in good if item.top_score is not None),
        latencies_ms=tuple(item.latency_ms for item in good),
    )


def successes(
    workspace: Workspace, file: Interactions, version: str, since: float, until: float, now: float
) -> list[float]:
    """The share of successes of each key whose window has closed, in order; [] where nobody ever
    gave feedback.
    """
    window = workspace.settings.rollout.key_window_minutes * 60
    found = read_outcomes(
        file,
        "searches.version = ? AND searches.at > ? AND searches.at <= ? "
        "AND side IN ('live', 'candidate')",
        [version, since, until],
    )
    keys, _ = closed(by_key(found), window, now)
    if not any(item.actions for item in found):
        return []
    return [
        sum(item.success(item.at + window) for item in searches) / len(searches)
        for searches in keys
    ]


# -- queries that a watch asks itself


def sample_queries(workspace: Workspace) -> list[str]:
    """Texts of some queries: logged ones where there are enough, else judged ones as well."""
    wanted = workspace.settings.watch.sample
    found = _logged(workspace)
    if len(found) < wanted:
        judged = workspace.judgements("test") or workspace.judgements("dev")
        found += [query.text for query in judged.queries] if judged else []
    unique = sorted(set(found))
    chosen = random.Random(workspace.settings.evaluation.seed)  # noqa: S311 (no secret)
    return chosen.sample(unique, min(wanted, len(unique)))


def _logged(workspace: Workspace) -> list[str]:
    if not workspace.settings.rollout.log_queries:
        return []
    with closing(interactions(workspace)) as file:
        rows = file.execute(
            "SELECT query FROM searches WHERE query IS NOT NULL ORDER BY number DESC LIMIT ?",
            [LOGGED],
        )
        return [row[0] for row in rows]


@job("aside")
def ask(
    workspace: Workspace, queries: Sequence[str], collection: str, previous: str | None
) -> list[Asked]:
    """Ask a collection, and the previous one beside it, each with its own encoder, unrecorded.

    Raises:
        StoreBusy, OwnerError: they cannot be asked from here, whatever their state.
    """
    with closing(interactions(workspace)) as file:
        return [_ask(workspace, file.hashed(text), text, collection, previous) for text in queries]


def _ask(
    workspace: Workspace, name: str, text: str, collection: str, previous: str | None
) -> Asked:
    retriever, request = open_retriever(workspace), Request([text], DEPTH)
    began = time.perf_counter()
    try:
        found = retriever.ask(collection, request)[0]
    except (StoreBusy, OwnerError):
        raise
    except ReindexError as error:
        return Asked(name, 0, None, None, 0.0, str(error) or type(error).__name__)
    taken = (time.perf_counter() - began) * 1000
    agreed = None
    if previous is not None:
        with suppress(ReindexError):  # of the previous version nothing is asked but its results
            agreed = overlap(found.hits, retriever.ask(previous, request)[0].hits)
    return Asked(name, len(found), found[0].score if found.hits else None, agreed, taken)
