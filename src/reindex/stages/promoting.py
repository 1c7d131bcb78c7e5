"""Stage 5: the alias moves, forward through the gate or back to a version that was live."""

from __future__ import annotations

from dataclasses import dataclass

from reindex.errors import PromotionRefused
from reindex.gate import GateDecision, decide
from reindex.owner.jobs import job
from reindex.promotion import (
    Flip,
    check_decision,
    flip,
    previous_collection,
    reconcile,
    was_live,
)
from reindex.registry.adoptions import Adoptions
from reindex.registry.ledger import BuiltCollection, Promotion
from reindex.stages.building import build
from reindex.stages.repairing import other_writers
from reindex.stages.supervision import alias_lock, supervised
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Promoted:
    """What the gate said, and the flip that followed; None in a dry run."""

    decision: GateDecision
    promotion: Promotion | None


def promote(
    workspace: Workspace, name: str, *, dry_run: bool = False, force: bool = False, reason: str = ""
) -> Promoted:
    """Move the alias to a version if the gate passes. Needs the registry alone (embedded store).

    Raises:
        Locked: another promotion or rollback is at work.
    """
    workspace.registry.version(name)
    if dry_run:
        return _promote(workspace, name, dry_run=True)
    lock = alias_lock(workspace.settings.alias)
    with supervised(workspace, "promote", name, locks=[lock]):
        return _promote(workspace, name, force=force, reason=reason)


def _promote(
    workspace: Workspace, name: str, *, dry_run: bool = False, force: bool = False, reason: str = ""
) -> Promoted:
    reconcile(workspace.registry, workspace.store)
    collection, live = workspace.collection_of(name), workspace.live_collection()
    if collection == live:
        raise PromotionRefused(
            f"{name} is live already: {workspace.settings.alias!r} points at it."
        )
    decision = decide(
        workspace.registry,
        workspace.settings.gate,
        version=name,
        collection=collection,
        live=live,
        unstamped=other_writers(workspace, live),
    )
    if dry_run:
        return Promoted(decision, None)
    check_decision(decision, force=force, reason=reason)
    plan = Flip(
        kind="promote",
        alias=workspace.settings.alias,
        expected=live,
        target=collection,
        version=name,
        build=_built(workspace, collection).build,
        comparison=decision.comparison,
        conditions=tuple(decision.as_list()),
        forced=force and decision.verdict != "pass",
        reason=reason,
    )
    return Promoted(decision, flip(workspace.registry, workspace.store, plan))


@job("flip")
def rollback(
    workspace: Workspace, name: str | None = None, *, now: bool = False, reason: str = ""
) -> Promotion:
    """Move the alias back to the previous version, or to ``name``, which must have been live.

    The old collection first converges with the source, so that no write since is lost; ``now``
    flips first and converges after.

    Raises:
        Locked: another promotion or rollback is at work, or a build of the old collection.
    """
    lock = alias_lock(workspace.settings.alias)
    with supervised(workspace, "rollback", name, locks=[lock]):
        return _rollback(workspace, name, now=now, reason=reason)


def _rollback(workspace: Workspace, name: str | None, *, now: bool, reason: str) -> Promotion:
    reconcile(workspace.registry, workspace.store)
    live = workspace.live_collection()
    target = _rollback_target(workspace, name, live)
    plan = Flip(
        kind="rollback",
        alias=workspace.settings.alias,
        expected=live,
        target=target.name,
        version=target.version,
        build=target.build,
        reason=reason,
    )
    adopted = Adoptions(workspace.registry).of(target.name) is not None
    if adopted and not now:
        raise PromotionRefused(
            f"{target.name} was adopted: a build does not write into it, so what was written since "
            f"it was live is not in it. To go back without that: reindex rollback --now"
        )
    if not now:
        build(workspace, target.version)
    done = flip(workspace.registry, workspace.store, plan)
    if now and not adopted:
        build(workspace, target.version)
    return done


def _rollback_target(workspace: Workspace, name: str | None, live: str | None) -> BuiltCollection:
    registry, alias = workspace.registry, workspace.settings.alias
    if name is not None:
        registry.version(name)
        target: str | None = _of_version(workspace, name)
    else:
        target = previous_collection(registry, alias, live)
    if target is None:
        raise PromotionRefused(
            f"No version was live before {live}: there is nothing to go back to."
        )
    if target == live:
        raise PromotionRefused(f"{name} is live already.")
    if not was_live(registry, alias, target):
        raise PromotionRefused(
            f"{target} was never live, so it is no rollback. Use: reindex promote {name}"
        )
    return _built(workspace, target)


def _of_version(workspace: Workspace, name: str) -> str:
    """A version may have an adopted collection and one of its own: the one that was live."""
    own, alias = workspace.settings.collection(name), workspace.settings.alias
    return own if was_live(workspace.registry, alias, own) else workspace.collection_of(name)


def _built(workspace: Workspace, collection: str) -> BuiltCollection:
    built = workspace.registry.collection(collection)
    if built is None:
        raise PromotionRefused(f"There is no collection {collection} any more; build it again.")
    return built
