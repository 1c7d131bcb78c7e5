"""The cut-over: from what is live to another collection without losing a write.

1. Both collections are write targets; whoever read that before is waited for.
2. Passes from the old collection to the new one, until little differs or no less than before.
3. (The comparison was made before; the gate is asked again.)
4. One more pass, then the flip. Under its lock the new collection gets every journaled write.
5. Whoever resolved the alias before the flip is waited for.
6. Passes from the old to the new, until one that began after that finds nothing.

Every step can be done again. What is left after a kill is in the registry: write targets, the
journal, the flip's intent, and the sweep that it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from reindex.build import BuildReport
from reindex.errors import CutOverIncomplete, PromotionRefused, RunStopped, StoreBusy
from reindex.indexing.apply import replay
from reindex.promotion import Flip, flip
from reindex.protocols import DocumentSource
from reindex.registry.ledger import BuiltCollection, Promotion
from reindex.registry.sweeps import Sweep, Sweeps
from reindex.stages.carrying import carry_between
from reindex.stages.originals import keep_originals
from reindex.stages.passes import beside_files, one_pass, publish
from reindex.stages.supervision import Job, collection_lock, supervised
from reindex.workspace import Workspace

MAX_PASSES = 20
"""Passes of one step at most: under steady foreign writes none of them is empty."""


def cut_over(
    workspace: Workspace, job: Job, target: BuiltCollection, plan: Callable[[], Flip]
) -> Promotion:
    """Steps 1 to 6. ``plan`` decides upon the state of the moment: it is asked after step 2.

    Raises:
        PromotionRefused: ``plan`` says no; or the new collection cannot take a journaled write.
        CutOverIncomplete: it is flipped; the sweep goes on with the next promote, rollback or
            build.
    """
    live = workspace.live_collection()
    if live is None:
        return flip(workspace.registry, workspace.store, plan())
    try:
        prepare(workspace, live, target.name)
        catch_up(workspace, job, live, target)
        decided = plan()
        _pass(workspace, job, live, target)
    except StoreBusy:  # another process holds the embedded store, and alone writes to it
        done = _flip(workspace, plan(), live)
        Sweeps(workspace.registry).finish(done.id)
        return done
    done = _flip(workspace, decided, live)
    finish_sweeps(workspace, job)
    return done


def flip_now(workspace: Workspace, job: Job, plan: Flip) -> Promotion:
    """Steps 4 (no pass), 5 and 6: for emergencies. What the old collection still gets in the
    journal and cannot take now, it gets later.
    """
    live = workspace.live_collection()
    assert live is not None
    workspace.journal.publish(live, "held-over")
    done = _flip(workspace, plan, live, emergency=True)
    finish_sweeps(workspace, job)
    return done


def prepare(workspace: Workspace, live: str, target: str) -> None:
    """Step 1. The live one is written down as held over: it will be, from the flip on."""
    new = publish(workspace, target)
    workspace.journal.publish(live, "held-over")
    if new:
        _wait(workspace, workspace.settings.serving.lease_ttl)


def catch_up(workspace: Workspace, job: Job, live: str, target: BuiltCollection) -> int:
    """Step 2: passes until few points differ, or no fewer than in the pass before."""
    before: float = float("inf")
    for _ in range(MAX_PASSES):
        changed = _pass(workspace, job, live, target)
        if changed <= workspace.settings.build.max_residual or changed >= before:
            return changed
        before = changed
    return changed


def _pass(workspace: Workspace, job: Job, live: str, target: BuiltCollection) -> int:
    """One pass from the old collection to the new one; returns how many points it changed.

    The vectors that are not ours come last, for all points. They are no drift: what was compared
    does not look at them.
    """
    registry = workspace.registry
    with workspace.dead_letters(f"{job.kind}-{job.id}") as dead:
        report = one_pass(
            workspace, between(workspace, live), workspace.kept_encoder(target), target,
            job=job, dead=dead, rev=registry.next_rev(),
        )  # fmt: skip
    _count(workspace, target.name, report)
    return _changed(report) + carry_between(workspace, live, target.name, job)


def between(workspace: Workspace, old: str) -> DocumentSource:
    """What another collection must have of this one: all, or what the files do not hold."""
    return beside_files(workspace, old) or workspace.collection_source(old)


def _changed(report: BuildReport) -> int:
    return report.inserted + report.updated + report.payload_only + report.deleted


def _count(workspace: Workspace, collection: str, report: BuildReport) -> None:
    """What a pass changed is drift, and changes what is expected in the collection."""
    workspace.registry.count_single_writes(
        collection, _changed(report), report.inserted - report.deleted
    )


def _wait(workspace: Workspace, seconds: float) -> None:
    """Let others finish what they began upon what they had read. Of a local store there are none:
    the alias and the write targets are read for every request.
    """
    if not workspace.store.local and seconds > 0:
        workspace.sleep(seconds)


def _flip(workspace: Workspace, plan: Flip, live: str, *, emergency: bool = False) -> Promotion:
    """The flip. Single writes that are acknowledged when the alias moves are in the new one."""
    sweeps = Sweeps(workspace.registry)

    def before(promotion: int, *, locked: bool) -> None:
        sweeps.prepare(promotion, live, plan.target)
        if locked:
            _deliver_rest(workspace, plan.target, emergency=emergency)

    return flip(workspace.registry, workspace.store, plan, before=before)


def _deliver_rest(workspace: Workspace, target: str, *, emergency: bool) -> None:
    """Nobody journals while the flip holds the lock, so after this nothing is owed."""
    owed = len(workspace.journal.owed(target))
    try:
        if owed:
            replay(workspace, target)
    except Exception as error:
        if emergency:
            return
        raise PromotionRefused(
            f"{target} still lacks {owed} single writes, which it cannot take: {error} It would "
            "go live without them. Mend that and promote again."
        ) from error


def finish_sweeps(workspace: Workspace, job: Job, *, allow_deletes: bool = False) -> int:
    """Steps 5 and 6 of every flip that still needs them; returns how many points were changed.

    Raises:
        CutOverIncomplete: something is in the way; the next call goes on.
    """
    changed = 0
    for sweep in Sweeps(workspace.registry).open():
        try:
            changed += _sweep(workspace, job, sweep, allow_deletes=allow_deletes)
        except (StoreBusy, RunStopped):
            raise
        except Exception as error:
            raise CutOverIncomplete(
                f"{workspace.settings.alias!r} points at {sweep.to_collection}, but what reached "
                f"{sweep.from_collection} late is not all in it yet: {error} The next promote, "
                "rollback or build goes on with it."
            ) from error
    return changed


def _sweep(workspace: Workspace, job: Job, sweep: Sweep, *, allow_deletes: bool) -> int:
    sweeps, changed = Sweeps(workspace.registry), 0
    target = workspace.registry.collection(sweep.to_collection)
    here = workspace.live_collection() == sweep.to_collection
    if target is None or not here or sweep.from_collection not in workspace.store.collections():
        sweeps.finish(sweep.promotion)  # flipped on, or dropped: there is nothing left to do it for
        return 0
    _wait(workspace, _left(workspace, sweep))
    for _ in range(MAX_PASSES):
        found = _careful_pass(workspace, job, sweep, target, allow_deletes=allow_deletes)
        changed += found
        if not found:
            break
    keep_originals(workspace, sweep.from_collection, sweep.to_collection)
    sweeps.finish(sweep.promotion)
    return changed


def _left(workspace: Workspace, sweep: Sweep) -> float:
    """Seconds of step 5 that are still to be waited."""
    settings = workspace.settings
    whole = settings.serving.lease_ttl + settings.qdrant.timeout
    age = datetime.now(UTC) - datetime.fromisoformat(sweep.flipped_at)
    return whole - max(0.0, age.total_seconds())


def _careful_pass(
    workspace: Workspace, job: Job, sweep: Sweep, target: BuiltCollection, *, allow_deletes: bool
) -> int:
    """One pass that leaves alone whatever changed in the new collection since the flip."""
    replay(workspace, sweep.from_collection)
    with workspace.dead_letters(f"{job.kind}-{job.id}-sweep") as dead:
        report = one_pass(
            workspace, between(workspace, sweep.from_collection), workspace.kept_encoder(target),
            target, job=job, dead=dead, rev=sweep.rev, careful=True, allow_deletes=allow_deletes,
        )  # fmt: skip
    _count(workspace, target.name, report)
    carried = carry_between(
        workspace, sweep.from_collection, target.name, job, flipped_rev=sweep.rev
    )
    return _changed(report) + carried


def sweep_first(workspace: Workspace, *, allow_deletes: bool = False) -> None:
    """Finish what a killed promotion left open, before anything else is begun."""
    for sweep in Sweeps(workspace.registry).open():
        locks = [collection_lock(sweep.to_collection)]
        with supervised(workspace, "sweep", None, locks=locks) as job:
            finish_sweeps(workspace, job, allow_deletes=allow_deletes)
