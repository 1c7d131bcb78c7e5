"""A candidate beside what is live: started, weighted, ended, and how it stands."""

from __future__ import annotations

import time
from contextlib import closing

from reindex.errors import CanaryRefused
from reindex.evaluation.figure import Figure
from reindex.owner.jobs import job
from reindex.promotion import operator
from reindex.registry.canaries import Canaries, Canary, Mode
from reindex.registry.interactions import INTERACTIONS_NAME, Interactions
from reindex.rollout.standing import Standing, stand
from reindex.stages.passes import publish
from reindex.stages.searching import open_retriever
from reindex.workspace import Workspace


@job("aside")
def canary(
    workspace: Workspace, name: str | None = None, *, weight: float | None = None,
    interleave: bool | None = None, who: str = "",
) -> Canary:  # fmt: skip
    """Start a canary, or change the weight or the mode of the one that runs.

    What is not given stays as it is; a new one begins as a shadow (weight 0) that splits.
    From now on its collection gets the single writes too.

    Raises:
        CanaryRefused: nothing is live, or the candidate is not complete, or is what is live.
        Conflict: another version's canary runs.
        ArtifactError, SpaceMismatch: its encoder does not load, or is not that of its collection.
    """
    canaries, alias = Canaries(workspace.registry), workspace.settings.alias
    running = settled_canary(workspace)
    name = name or (running.version if running else None)
    if name is None:
        raise CanaryRefused("No canary runs. Name a version: reindex canary v2 --weight 10%")
    if running is None or running.version != name:
        identity = _start(workspace, name, who or operator())
    else:
        identity = running.id
    share = weight if weight is not None else running.weight if running else 0.0
    mode: Mode = running.mode if running else "split"
    if interleave is not None:
        mode = "interleave" if interleave else "split"
    canaries.set(identity, share, mode, who or operator())
    found = canaries.running(alias)
    assert found is not None
    return found


def _start(workspace: Workspace, name: str, who: str) -> int:
    live, version = workspace.live_collection(), workspace.live_version()
    workspace.registry.version(name)
    collection = workspace.collection_of(name)
    if live is None or version is None:
        raise CanaryRefused(
            f"Nothing that this registry knows is live, so there is nothing for {name} to answer "
            f"beside. Promote a first version: reindex promote {name}"
        )
    if collection == live:
        raise CanaryRefused(f"{name} is live already: {workspace.settings.alias!r} points at it.")
    built = workspace.registry.collection(collection)
    if built is None or not built.complete:
        raise CanaryRefused(
            f"{collection} is not built completely, so its answers would lack documents. "
            f"Run: reindex build {name}"
        )
    open_retriever(workspace, name).lease()  # loads its pair, and raises where it cannot
    publish(workspace, collection)
    return Canaries(workspace.registry).start(
        workspace.settings.alias,
        candidate=(name, collection),
        live=(version.name, live),
        who=who,
    )


def settled_canary(workspace: Workspace) -> Canary | None:
    """The canary that runs; one whose live collection was flipped away from is ended."""
    canaries = Canaries(workspace.registry)
    found = canaries.unended(workspace.settings.alias)
    if found is None:
        return None
    live = canaries.flipped_to(found) or workspace.live_collection()
    if live == found.live_collection:
        return found
    canaries.end(found.id, operator(), f"{live} went live instead of {found.live_collection}")
    return None


def end_canary(workspace: Workspace, reason: str = "") -> Canary:
    """End the canary that runs. Raises CanaryRefused: none does."""
    running = settled_canary(workspace)
    if running is None:
        raise CanaryRefused("No canary runs, so there is none to end.")
    Canaries(workspace.registry).end(running.id, operator(), reason)
    last = Canaries(workspace.registry).last(workspace.settings.alias)
    assert last is not None
    return last


def standing(workspace: Workspace) -> Standing | None:
    """What the canary that runs, or the last one that did, has shown. Reads the registry alone."""
    settled_canary(workspace)
    canaries = Canaries(workspace.registry)
    found = canaries.last(workspace.settings.alias)
    if found is None:
        return None
    workspace.recorder.flush()
    file = workspace.settings.home / INTERACTIONS_NAME
    with closing(Interactions(file)) as interactions:
        return stand(
            found, canaries.phases(found.id), interactions, workspace.settings.rollout, time.time()
        )


def canary_figures(workspace: Workspace, version: str) -> list[Figure]:
    """What the last canary has shown of a version, for the gate; nothing where it was another's."""
    last = Canaries(workspace.registry).last(workspace.settings.alias)
    if last is None or last.version != version:
        return []
    found = standing(workspace)
    assert found is not None
    figures = [Figure("canary.keys", found.counted, "count", "Keys whose window has closed.")]
    level, apart, preferred = (
        1 - workspace.settings.rollout.alpha,
        found.difference,
        found.preference,
    )
    if apart is not None and apart.estimate is not None:
        figures.append(Figure(
            "canary.success", apart.estimate, "%",
            "Success per key of the canary, candidate minus live.",
            low=apart.low, high=apart.high, confidence=level, signed=True,
        ))  # fmt: skip
    if preferred is not None and preferred.share is not None:
        figures.append(Figure(
            "canary.preferred", preferred.share, "%",
            "Share of the keys with a preference that prefer the candidate's results.",
            low=preferred.low, high=preferred.high, confidence=level,
        ))  # fmt: skip
    return figures
