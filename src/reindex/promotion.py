"""The flip: one atomic, conditional write of the alias, with an intent before and a record after.

Under the registry's write lock: read the alias, write it once, read it back, close the intent.
So of two operators of one registry exactly one wins. A flip by somebody outside the registry is
detected, not prevented: Qdrant has no compare-and-set.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from reindex.errors import Conflict, PromotionRefused, ReindexError
from reindex.gate import GateDecision
from reindex.processes import process_alive
from reindex.protocols import Store
from reindex.registry import Registry
from reindex.registry.file import BUSY_TIMEOUT_S
from reindex.registry.ledger import Promotion, PromotionKind

_ACTING: set[tuple[Path, int]] = set()
"""(registry, intent) that a thread of this process acts on right now."""


class BeforeFlip(Protocol):
    """What must be true, or written down, when the alias moves."""

    def __call__(self, promotion: int, *, locked: bool) -> None:
        """Make it so. Raises a ReindexError where it cannot be."""


@dataclass(frozen=True, slots=True)
class Flip:
    """What is to be flipped, and what it was decided upon."""

    kind: PromotionKind
    alias: str
    expected: str | None
    target: str
    version: str
    build: str
    comparison: int | None = None
    conditions: tuple[dict[str, str], ...] = ()
    forced: bool = False
    reason: str = ""
    who: str = ""
    """Who flips, for the history; empty: the operator of this process. Ends in ``@host``."""


_acting: ContextVar[str | None] = ContextVar("acting", default=None)


@contextlib.contextmanager
def acting_for(name: str) -> Iterator[None]:
    """Within this block `operator` is ``name`` at this host: whoever asked it over a network."""
    before = _acting.set(f"{name}@{socket.gethostname()}")
    try:
        yield
    finally:
        _acting.reset(before)


def operator() -> str:
    """Who acts: ``user@host``, or for whom this process does."""
    if (name := _acting.get()) is not None:
        return name
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid()) if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"


def check_decision(decision: GateDecision, *, force: bool, reason: str) -> None:
    """Raise PromotionRefused unless the gate passed or somebody takes responsibility."""
    if force and not reason.strip():
        raise PromotionRefused(
            '--force needs --reason "…": it is kept in the history for whoever asks later.'
        )
    built = decision.conditions[0].name != "built"
    if decision.verdict == "pass" or (force and built):
        return
    lines = [
        f"  {item.name}: {item.figure} (required: {item.required})" for item in decision.failed
    ]
    hint = "" if not built else '\nTo promote all the same: --force --reason "…"'
    raise PromotionRefused(
        f"{decision.version} does not pass the gate ({decision.verdict}):\n"
        + "\n".join(lines)
        + hint,
        decision.verdict,
    )


def flip(
    registry: Registry, store: Store, plan: Flip, *, before: BeforeFlip | None = None
) -> Promotion:
    """Move the alias from ``plan.expected`` to ``plan.target``.

    ``before`` is called with the promotion's number twice: once it is written down as an intent,
    and under the write lock right before the alias moves, where an error keeps it from moving.

    A flip whose answer was lost counts as done where the alias shows it.

    Raises:
        Conflict: the alias points elsewhere by now, or the collection was rebuilt; says who moved
            it and when. Nothing was changed.
        StoreError: the store failed, and the alias was not moved, or cannot be read either: then
            the intent stays open until `reconcile` can ask.
    """
    reconcile(registry, store)
    intent = _intend(registry, plan)
    acting = (registry.path, intent.id)
    _ACTING.add(acting)
    try:
        if before is not None:
            before(intent.id, locked=False)
        with registry.transaction():
            return _write(registry, store, plan, intent.id, before)
    except Conflict:
        if registry.promotion(intent.id).state == "intent":
            registry.close_intent(intent.id, "abandoned")
        raise
    except ReindexError:
        # the write may have arrived even where its answer did not: the alias knows
        if registry.promotion(intent.id).state == "intent":
            settled = _settle(registry, store, intent)
            if settled.state == "done":
                return settled
        raise
    finally:
        _ACTING.discard(acting)


def _intend(registry: Registry, plan: Flip) -> Promotion:
    return registry.add_intent(
        kind=plan.kind,
        conditions=list(plan.conditions),
        alias=plan.alias,
        from_collection=plan.expected,
        to_collection=plan.target,
        version=plan.version,
        comparison=plan.comparison,
        forced=plan.forced,
        reason=plan.reason,
        who=plan.who or operator(),
    )


def _write(
    registry: Registry, store: Store, plan: Flip, intent: int, before: BeforeFlip | None
) -> Promotion:
    if registry.promotion(intent).state != "intent":
        raise Conflict(f"Promotion {intent} was closed by another process; run the command again.")
    live = store.aliases().get(plan.alias)
    if live != plan.expected:
        raise Conflict(
            f"{plan.alias!r} points at {live}, not at {plan.expected} as when this was decided. "
            f"{_last_flip(registry, plan.alias)} Compare with what is live now, then try again."
        )
    built = registry.collection(plan.target)
    if built is None or built.build != plan.build:
        raise Conflict(
            f"{plan.target} was rebuilt or removed since this was decided; compare again."
        )
    if before is not None:
        before(intent, locked=True)
    store.point_alias(plan.alias, plan.target)
    seen = store.aliases().get(plan.alias)
    if seen != plan.target:
        raise Conflict(f"Somebody outside this registry moved {plan.alias!r} to {seen} just now.")
    return registry.close_intent(intent, "done")


def _last_flip(registry: Registry, alias: str) -> str:
    done = latest_done(registry, alias)
    if done is None:
        return "It was moved outside this registry."
    return f"{done.who} moved it to {done.to_collection} at {done.finished_at}."


def reconcile(registry: Registry, store: Store) -> list[Promotion]:
    """Close the intents of processes that died: done where the alias says so, else abandoned.

    While the write lock is held no live process is between its write and its record, so an intent
    of a living process is one that still waits for the lock: it is left alone.
    """
    if not registry.promotions(state="intent"):
        return []
    with registry.transaction():
        intents = registry.promotions(state="intent")
        dead = [item for item in intents if not _alive(registry, item)]
        return [_settle(registry, store, intent) for intent in dead]


def _settle(registry: Registry, store: Store, intent: Promotion) -> Promotion:
    """Ask the store what became of an intent, and write it down."""
    with registry.transaction():
        moved = store.aliases().get(intent.alias) == intent.to_collection
        last = latest_done(registry, intent.alias)
        was_there = last is not None and last.to_collection == intent.to_collection
        return registry.close_intent(intent.id, "done" if moved and not was_there else "abandoned")


def latest_done(registry: Registry, alias: str) -> Promotion | None:
    """The last flip of this alias that the registry recorded, if any."""
    done = registry.promotions(state="done")
    return next((item for item in done if item.alias == alias), None)


def _alive(registry: Registry, intent: Promotion) -> bool:
    """Whether the process that wrote the intent may still be about to act on it.

    This one knows. Another one waits for the write lock at most BUSY_TIMEOUT_S, so an old intent
    is dead in any case: that covers other hosts and reused process numbers.
    """
    age = datetime.now(UTC) - datetime.fromisoformat(intent.created_at)
    if age.total_seconds() > 10 * BUSY_TIMEOUT_S:
        return False
    same_host = intent.who.rpartition("@")[2] == socket.gethostname()
    if same_host and intent.pid == os.getpid():
        return (registry.path, intent.id) in _ACTING
    return not same_host or process_alive(intent.pid)


def previous_collection(registry: Registry, alias: str, live: str | None) -> str | None:
    """The collection that was live before ``live``, by the history of this alias."""
    for done in registry.promotions(state="done"):
        if done.alias == alias and done.to_collection == live and done.from_collection != live:
            return done.from_collection
    return None


def was_live(registry: Registry, alias: str, collection: str) -> bool:
    """Whether the alias ever pointed at the collection, by the history."""
    return any(
        collection in (done.to_collection, done.from_collection)
        for done in registry.promotions(state="done")
        if done.alias == alias
    )
