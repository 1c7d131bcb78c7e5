"""After a flip: round by round, and back by itself, once, where a limit stays broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from reindex.errors import (
    Conflict,
    CutOverIncomplete,
    Locked,
    OwnerError,
    StoreBusy,
    WatchRefused,
)
from reindex.plain import from_plain, to_plain
from reindex.promotion import latest_done, operator
from reindex.registry.ledger import Promotion
from reindex.registry.watches import ENDS, Watches, WatchRecord
from reindex.rollout.signals import (
    Asked,
    Signal,
    Traffic,
    asked_signals,
    feedback_signal,
    traffic_signals,
)
from reindex.stages.baselines import (
    ask,
    flipped_at,
    interactions,
    sample_queries,
    successes,
    take_baseline,
    traffic,
)
from reindex.stages.notifying import settle
from reindex.stages.promoting import rollback
from reindex.workspace import Workspace

State = Literal["watching", "would roll back", "rolled back", "healthy", "superseded", "stopped"]

_LATER = (Locked, StoreBusy, OwnerError)
"""In the way for now; the next round may be luckier."""


@dataclass(frozen=True, slots=True)
class WatchRound:
    """One look.

    Attributes:
        state: ``watching`` goes on; everything else is an end, but for a dry run's ``would roll
            back``, which is one too.
        why: what broke its limits for how long, or what ended the watch otherwise.
        signals: what could be judged in this round.
        streaks: signal -> in how many rounds in a row it has broken its limit.
        note: what could not be done in this round.
        rollback: the flip back, where this round made it.
    """

    promotion: int
    version: str
    state: State
    number: int
    why: str = ""
    signals: tuple[Signal, ...] = ()
    streaks: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    rollback: Promotion | None = None


def watch(
    open_workspace: Callable[[], AbstractContextManager[Workspace]], *,
    dry_run: bool = False, tell: Callable[[WatchRound], None], stop: threading.Event,
) -> WatchRound:  # fmt: skip
    """Round after round until an end, or until ``stop``.

    Args:
        open_workspace: opens the project for one round: nothing stays open in between, so that
            the watch is in nobody's way.
        dry_run: say what would be done; nothing is rolled back or written down.
        tell: gets every round.
        stop: ends the watch before its next round.

    Raises:
        WatchRefused: there is no promotion to watch.
    """
    memory: dict[str, Any] = {}
    while True:
        with open_workspace() as workspace:
            done = watch_round(workspace, dry_run=dry_run, memory=memory)
            pause = workspace.settings.watch.interval
        tell(done)
        if done.state != "watching":
            return done
        if stop.wait(pause):
            return WatchRound(done.promotion, done.version, "stopped", done.number)


def watch_round(
    workspace: Workspace, *, dry_run: bool = False, memory: dict[str, Any] | None = None
) -> WatchRound:
    """Look once at what the last promotion brought, and take it back where that is due.

    ``memory`` keeps a dry run's progress, which is not written down.
    """
    settle(workspace)
    flip = latest_done(workspace.registry, workspace.settings.alias)
    watched = memory.get("promotion") if memory else None
    watches = Watches(workspace.registry)
    if flip is not None and flip.kind == "rollback":
        watches.settle(flip.id)
    if flip is None or flip.kind != "promote" or flip.from_collection is None:
        ended = watches.of(watched) if watched else None
        if ended is not None and watched is not None:
            return _ended(workspace, ended, watched)
        raise WatchRefused(_nothing(flip))
    if watched not in (None, flip.id):
        why = f"{flip.version} went live after it"
        return _superseded(workspace, watched, why, dry_run=dry_run)
    if memory is not None:
        memory["promotion"] = flip.id
    if workspace.live_collection() != flip.to_collection:
        why = "the alias was moved outside this registry"
        return _superseded(workspace, flip.id, why, dry_run=dry_run)
    return _look(workspace, flip, dry_run=dry_run, memory=memory if memory is not None else {})


def _nothing(flip: Promotion | None) -> str:
    if flip is None:
        return "Nothing was ever promoted here, so there is nothing to watch: reindex promote v1"
    if flip.kind == "rollback":
        return (
            f"What is live, {flip.version}, came back by a rollback ({flip.who}, "
            f"{flip.finished_at}). There is nothing to take back; a watch begins with a promotion."
        )
    return f"{flip.version} was the first to go live: there is nothing to go back to."


def _ended(workspace: Workspace, record: WatchRecord, promotion: int) -> WatchRound:
    """It was rolled back meanwhile: by another watch, or by somebody."""
    version = workspace.registry.promotion(promotion).version
    if record.state in ("rolling back", "rolled back"):
        return WatchRound(promotion, version, "rolled back", _rounds(record), record.why)
    return _superseded(workspace, promotion, "somebody rolled it back")


def _superseded(
    workspace: Workspace, promotion: int, why: str, *, dry_run: bool = False
) -> WatchRound:
    watches = Watches(workspace.registry)
    if not dry_run:
        watches.move(promotion, "superseded", why=why, who=operator())
    record = watches.of(promotion)
    version = workspace.registry.promotion(promotion).version
    return WatchRound(promotion, version, "superseded", _rounds(record), why)


def _rounds(record: WatchRecord | None) -> int:
    return int(record.progress.get("rounds", 0)) if record else 0


def _look(
    workspace: Workspace, flip: Promotion, *, dry_run: bool, memory: dict[str, Any]
) -> WatchRound:
    record = _record(workspace, flip)
    if record.state in ENDS:
        state: State = record.state  # type: ignore[assignment]
        return WatchRound(flip.id, flip.version, state, _rounds(record), record.why)
    if record.state == "rolling back" and not dry_run:  # one that was killed on the way
        return _roll_back(workspace, flip, record.why, _rounds(record), ())
    progress = dict(memory.get("progress", {}) if dry_run else record.progress)
    baseline = dict(record.baseline)
    signals, note = _signals(workspace, flip, baseline, progress)
    streaks = _streaks(progress.get("streaks", {}), signals)
    progress |= {"rounds": progress.get("rounds", 0) + 1, "streaks": streaks}
    if dry_run:
        memory["progress"] = progress
    else:
        Watches(workspace.registry).save(flip.id, baseline, progress)
    done = WatchRound(
        flip.id, flip.version, "watching", progress["rounds"], "", tuple(signals), streaks, note
    )
    return _judge(workspace, flip, done, dry_run=dry_run)


def _record(workspace: Workspace, flip: Promotion) -> WatchRecord:
    watches = Watches(workspace.registry)
    record = watches.of(flip.id)
    if record is None:  # promoted before there was this, or the baseline failed
        watches.add(flip.id, take_baseline(workspace, flip))
        record = watches.of(flip.id)
    assert record is not None
    return record


def _signals(
    workspace: Workspace, flip: Promotion, baseline: dict[str, Any], progress: dict[str, Any]
) -> tuple[list[Signal], str]:
    """What can be judged now. Searches are judged once each, when there are enough of them."""
    limits, note, now = workspace.settings.watch, "", time.time()
    found: list[Signal] = []
    try:
        asked = ask(workspace, sample_queries(workspace), flip.to_collection, flip.from_collection)
        then = {item["query"]: from_plain(Asked, item) for item in baseline["asked"]}
        if not any(item.query in then for item in asked):  # other queries by now, or none yet
            baseline["asked"] = to_plain([item for item in asked if not item.failed])
        found += asked_signals(asked, then, limits)
    except (StoreBusy, OwnerError) as error:
        note = f"could not ask: {error}"
    began = flipped_at(flip)
    since = float(progress.get("judged_until", began))
    with closing(interactions(workspace)) as file:
        seen = traffic(file, flip.version, since, now)
        after = successes(workspace, file, flip.version, began, now, now)
    if seen.searches >= limits.min_searches:
        before = from_plain(Traffic, baseline["before"])
        found += traffic_signals(seen, before, baseline["own"], limits)
        progress["judged_until"] = now
        if len(baseline["own"]) < limits.min_searches:  # nobody had asked it before the flip
            baseline["own"] = [*baseline["own"], *seen.scores]
    told = feedback_signal(after, baseline["successes"], limits, workspace.settings.rollout.alpha)
    return [*found, *([told] if told else [])], note


def _streaks(before: Mapping[str, int], signals: list[Signal]) -> dict[str, int]:
    """In how many rounds in a row each limit was broken; what was not judged, stays."""
    now = {item.name: before.get(item.name, 0) + 1 if item.broken else 0 for item in signals}
    return {name: count for name, count in {**before, **now}.items() if count}


def _judge(workspace: Workspace, flip: Promotion, done: WatchRound, *, dry_run: bool) -> WatchRound:
    limits = workspace.settings.watch
    breaches = [
        f"{item.name}: {item.reason} (limit {item.limit:.3g}), {done.streaks[item.name]} rounds "
        "in a row"
        for item in done.signals
        if item.broken and done.streaks[item.name] >= limits.rounds
    ]
    if breaches:
        why = "; ".join(breaches)
        if dry_run:
            return replace(done, state="would roll back", why=why)
        Watches(workspace.registry).move(flip.id, "rolling back", why=why, who=operator())
        return _roll_back(workspace, flip, why, done.number, done.signals)
    if time.time() - flipped_at(flip) < limits.hours * 3600 or any(done.streaks.values()):
        return done
    why = f"no limit was broken for {limits.hours:g} hours"
    if not dry_run:
        Watches(workspace.registry).move(flip.id, "healthy", why=why, who=operator())
    return replace(done, state="healthy", why=why)


def _roll_back(
    workspace: Workspace, flip: Promotion, why: str, number: int, signals: tuple[Signal, ...]
) -> WatchRound:
    """Take this very flip back. Whoever comes second, finds the alias moved and does nothing."""
    watches = Watches(workspace.registry)
    back: Promotion | None = None
    note = ""
    try:
        back = rollback(
            workspace, now=True, reason=f"watch: {why}", expected=flip.to_collection,
            who=f"watch by {operator()}",
        )  # fmt: skip
    except CutOverIncomplete as error:  # it is flipped
        note = str(error)
    except _LATER as error:
        return WatchRound(
            flip.id, flip.version, "watching", number, why, signals, {}, f"not yet: {error}"
        )
    except Conflict as error:
        if workspace.live_collection() == flip.to_collection:
            raise
        last = latest_done(workspace.registry, workspace.settings.alias)
        if last is None or (last.kind, last.from_collection) != ("rollback", flip.to_collection):
            return _superseded(workspace, flip.id, str(error))
        note = str(error)
    watches.move(flip.id, "rolled back")
    return WatchRound(flip.id, flip.version, "rolled back", number, why, signals, {}, note, back)
