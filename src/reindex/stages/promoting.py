"""Stage 5: the alias moves, forward through the gate or back to a version that was live."""

from __future__ import annotations

from dataclasses import dataclass

from reindex.config import GateSettings
from reindex.config.conditions import parse_rule
from reindex.errors import Conflict, PromotionRefused
from reindex.evaluation.figure import Figure
from reindex.gate import Condition, GateDecision, decide, known_figures
from reindex.gate.rules import meant, unknown
from reindex.owner.jobs import job
from reindex.promotion import (
    Flip,
    check_decision,
    operator,
    previous_collection,
    was_live,
)
from reindex.registry.adoptions import Adoptions
from reindex.registry.approvals import Approval, Approvals
from reindex.registry.ledger import BuiltCollection, Promotion
from reindex.registry.sweeps import Sweeps
from reindex.stages.baselines import keep_baseline
from reindex.stages.building import build
from reindex.stages.cutover import cut_over, finish_sweeps, flip_now
from reindex.stages.notifying import settle, tell_flips, tell_refusal
from reindex.stages.repairing import other_writers
from reindex.stages.rolling_out import canary_figures
from reindex.stages.supervision import Job, alias_lock, collection_lock, supervised
from reindex.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Promoted:
    """What the gate said, and the flip that followed; None in a dry run."""

    decision: GateDecision
    promotion: Promotion | None


@job("flip")
def promote(
    workspace: Workspace, name: str, *, dry_run: bool = False, force: bool = False,
    reason: str = "", require_approval: bool = False,
) -> Promoted:  # fmt: skip
    """Move the alias to a version if the gate passes, without losing a write: see docs/live-writes.

    Killed anywhere, do it again: it goes on where it stopped. ``require_approval`` asks for one
    though ``gate.require_approval`` does not. Webhooks are told when it is done, or refused.

    Raises:
        PromotionRefused: the gate does not pass, or the version is live already.
        Locked: another promotion or rollback, or a build of this version, is at work.
        CutOverIncomplete: it is flipped, and late writes are still to be brought over.
    """
    workspace.registry.version(name)
    settle(workspace)
    collection = workspace.collection_of(name)
    gate = workspace.settings.gate
    if require_approval:
        gate = gate.model_copy(update={"require_approval": True})
    if dry_run:
        return Promoted(_decide(workspace, name, collection, gate), None)
    try:
        return _promoted(workspace, name, gate, force=force, reason=reason)
    finally:  # also of a flip whose sweep could not be finished
        tell_flips(workspace)


def _promoted(
    workspace: Workspace, name: str, gate: GateSettings, *, force: bool, reason: str
) -> Promoted:
    collection = workspace.collection_of(name)
    locks = [alias_lock(workspace.settings.alias), collection_lock(collection)]
    with supervised(workspace, "promote", name, locks=locks) as job:
        swept = _unswept(workspace, collection)
        decision = _decide(workspace, name, collection, gate)
        if swept is None:
            try:
                check_decision(decision, force=force, reason=reason)
            except PromotionRefused:
                tell_refusal(workspace, decision)
                raise
        finish_sweeps(workspace, job)
        if swept is not None:
            return Promoted(decision, swept)
        return _promote(workspace, job, name, gate, force=force, reason=reason)


def figures(workspace: Workspace, name: str) -> list[Figure]:
    """All figures that the gate may ask of a version, of its last comparison with what is live.

    Of what is live itself: of the last comparison that it was a candidate in.
    """
    workspace.registry.version(name)
    live, collection = workspace.live_collection(), workspace.collection_of(name)
    if live == collection:
        judged = workspace.registry.comparisons(collection)
        live = judged[0].live_collection if judged else None
    others = other_writers(workspace, live)
    more = canary_figures(workspace, name)
    return list(known_figures(workspace.registry, collection, live, others, more).values())


def unasked_conditions(workspace: Workspace, name: str) -> list[str]:
    """Why conditions of `gate.conditions` ask for no figure of a version: mistyped, most likely.

    Those of a canary come with the canary.
    """
    known = {figure.name: figure for figure in figures(workspace, name)}
    k, found = workspace.settings.evaluation.k, []
    for rule in map(parse_rule, workspace.settings.gate.conditions):
        if not rule.figure.startswith("canary.") and not meant(rule.figure, known, k):
            found.append(f"{rule.text!r}: {unknown(rule.figure, known, k)}")
    return found


def approve(workspace: Workspace, name: str, *, by: str, note: str = "") -> Approval:
    """Write down that ``by`` approves a version: its build as it is, upon its last comparison.

    Another build, or another comparison, needs another approval. The gate is not asked: it is when
    the version is promoted.

    Raises:
        PromotionRefused: it is not built, is live already, or was not compared with what is live.
    """
    workspace.registry.version(name)
    if not by.strip():
        raise PromotionRefused("An approval needs the name of whoever approves: --by NAME.")
    collection = workspace.collection_of(name)
    built = _built(workspace, collection)
    decision = _decide(workspace, name, collection, workspace.settings.gate)
    if any((item.name, item.verdict) == ("comparison", "fail") for item in decision.conditions):
        raise PromotionRefused(
            f"{name} was not compared with what is live, so there is nothing to approve. "
            f"Run: reindex compare {name}"
        )
    return Approvals(workspace.registry).add(
        built, decision.comparison, by=by.strip(), who=operator(), note=note.strip()
    )


def revoke(workspace: Workspace, name: str, *, by: str) -> list[Approval]:
    """Take back the approvals of a version, of whatever build; those that counted until now.

    What is flipped already stays: that is for a rollback.

    Raises:
        PromotionRefused: there is none to take back.
    """
    workspace.registry.version(name)
    if not by.strip():
        raise PromotionRefused("Taking an approval back needs a name: --by NAME.")
    collection = workspace.collection_of(name)
    found = Approvals(workspace.registry).revoke(collection, by=by.strip())
    if not found:
        raise PromotionRefused(f"Nobody's approval of {name} counts, so there is none to revoke.")
    return found


def _promote(
    workspace: Workspace, job: Job, name: str, gate: GateSettings, *, force: bool, reason: str
) -> Promoted:
    collection = workspace.collection_of(name)
    built, decided = _built(workspace, collection), list[GateDecision]()

    def plan() -> Flip:
        decision = _decide(workspace, name, collection, gate)
        check_decision(decision, force=force, reason=reason)
        decided.append(decision)
        return Flip(
            kind="promote",
            alias=workspace.settings.alias,
            expected=decision.live_collection,
            target=collection,
            version=name,
            build=built.build,
            comparison=decision.comparison,
            conditions=tuple(decision.as_list()),
            forced=force and decision.verdict != "pass",
            reason=reason,
        )

    done = cut_over(workspace, job, built, plan)
    keep_baseline(workspace, done)
    return Promoted(decided[-1], done)


def _decide(workspace: Workspace, name: str, collection: str, gate: GateSettings) -> GateDecision:
    live = workspace.live_collection()
    if collection != live:
        return decide(
            workspace.registry,
            gate,
            version=name,
            collection=collection,
            live=live,
            unstamped=other_writers(workspace, live),
            more=canary_figures(workspace, name),
        )
    if _unswept(workspace, collection) is None:
        raise PromotionRefused(
            f"{name} is live already: {workspace.settings.alias!r} points at it."
        )
    goes_on = Condition("sweep", "pass", "flipped, late writes are still looked for", "to end")
    return GateDecision(name, collection, live, None, (goes_on,))


def _unswept(workspace: Workspace, collection: str) -> Promotion | None:
    """The flip that made this collection live, if what follows it was cut short."""
    if workspace.live_collection() != collection:
        return None
    found = [item for item in Sweeps(workspace.registry).open() if item.to_collection == collection]
    return workspace.registry.promotion(found[-1].promotion) if found else None


@job("flip")
def rollback(
    workspace: Workspace, name: str | None = None, *, now: bool = False, reason: str = "",
    expected: str | None = None, who: str = "",
) -> Promotion:  # fmt: skip
    """Move the alias back to the previous version, or to ``name``, which must have been live.

    The old collection first converges with the source and with what is live, so that no write
    since is lost; ``now`` flips first and converges after. ``expected``: do so only while this
    collection is live. ``who`` goes into the history instead of the operator of this process.

    Raises:
        Conflict: another collection is live than ``expected``.
        Locked: another promotion or rollback is at work, or a build of the old collection.
        CutOverIncomplete: it is flipped, and late writes are still to be brought over.
    """
    lock = alias_lock(workspace.settings.alias)
    try:
        with supervised(workspace, "rollback", name, locks=[lock]) as job:
            settle(workspace)
            live = workspace.live_collection()
            if expected not in (None, live):
                raise Conflict(f"{live} is live, not {expected}, which was to be rolled back.")
            return _rollback(workspace, job, name, now=now, reason=reason, who=who)
    finally:
        tell_flips(workspace)


def _rollback(
    workspace: Workspace, job: Job, name: str | None, *, now: bool, reason: str, who: str
) -> Promotion:
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
        who=who,
    )
    adopted = Adoptions(workspace.registry).of(target.name) is not None
    copies = workspace.settings.source.kind == "collection"
    if adopted and not (now or copies):
        raise PromotionRefused(
            f"{target.name} was adopted: a build does not write into it, so what was written since "
            f"it was live is not in it. To go back without that: reindex rollback --now"
        )
    if not now:
        if not (adopted or copies):
            build(workspace, target.version)
        return cut_over(workspace, job, target, lambda: plan)
    done = flip_now(workspace, job, plan)
    if not (adopted or copies):
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
