"""What every run of a stage has: its locks, its record, a sign of life, and an ear for orders."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from reindex.diskspace import disk_full, is_disk_full
from reindex.errors import BudgetSpent, Cancelled, LockLost, ReindexError, RunStopped
from reindex.pacing import Budget, RunPace, Speed
from reindex.promotion import operator
from reindex.protocols import Progress
from reindex.registry.control import Beat, Control, Orders
from reindex.registry.ledger import Run
from reindex.workspace import Workspace

logger = logging.getLogger(__name__)

BEAT_S = 1.0
"""Seconds between two signs of life: orders are read, and progress is written, as often."""

_STATES: tuple[tuple[type[BaseException], str], ...] = (
    (BudgetSpent, "budget"),
    (Cancelled, "cancelled"),
    (RunStopped, "interrupted"),
    (KeyboardInterrupt, "interrupted"),
    (SystemExit, "interrupted"),
    (BaseException, "failed"),
)
"""How a run ends that an exception ends, the first that fits."""


def collection_lock(collection: str) -> str:
    """The lock of whoever writes a collection."""
    return f"collection:{collection}"


def version_lock(version: str) -> str:
    """The lock of whoever makes a version's checkpoint or artifact."""
    return f"version:{version}"


def alias_lock(alias: str) -> str:
    """The lock of whoever is about to move the project's alias."""
    return f"alias:{alias}"


class Job:
    """A run as its stage sees it.

    Attributes:
        id, kind, rev: the run's, as the registry has them; ``rev`` is what a build stamps.
        details: what the stage wants to be recorded.
        pace: to be asked before each batch.
    """

    def __init__(self, control: Control, run: Run, pace: RunPace, progress: Progress) -> None:
        self.id, self.kind, self.rev, self.pace = run.id, run.kind, run.rev, pace
        self.details: dict[str, Any] = {}
        self._control, self._shown = control, progress
        self._stage, self._done = "", 0
        self._total: int | None = None
        self._speed = Speed()

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Show how far the stage is, here and in ``status``; a place to pause, too.

        Raises:
            RunStopped: as the pace, for stages that have no batches to ask it before.
        """
        self._stage, self._done, self._total = stage, done, total
        self._shown(stage, done, total)
        self.pace(0)

    def listen(self) -> None:
        """Read the orders and pass them to the pace."""
        orders: Orders = self._control.orders(self.id)
        self.pace.throttle(orders.per_second)
        if orders.verb == "cancel":
            self.pace.stop(Cancelled(f"cancelled by {orders.who}"))
        else:
            self.pace.pause(orders.verb == "pause")

    def beat(self) -> None:
        """Write down how far the run is. Raises LockLost."""
        stage, done, total = self._stage, self._done, self._total
        rate = self._speed.of(done)
        left = Speed.seconds_left(rate, done, total)
        self._control.beat(self.id, Beat(stage, done, total, rate, left, self.pace.waiting))


@contextlib.contextmanager
def supervised(
    workspace: Workspace,
    kind: str,
    version: str | None,
    *,
    locks: Sequence[str] = (),
    budget: Budget | None = None,
) -> Iterator[Job]:
    """A run around a block: locked, recorded, alive, and open to orders.

    Raises:
        Locked: another living run holds one of ``locks``.
    """
    control = Control(workspace.registry)
    run = control.begin(kind, version, locks, operator(), workspace.job)
    job = Job(control, run, RunPace(budget), workspace.progress)
    try:
        job.listen()
        with _alive(workspace, job):
            yield job
    except BaseException as error:
        job.details["error"] = f"{type(error).__name__}: {error}"
        state = next(state for kind_, state in _STATES if isinstance(error, kind_))
        _end(control, job, state, error)
        if isinstance(error, OSError) and is_disk_full(error):
            place = error.filename or workspace.settings.home
            raise disk_full(f"What `{kind}` writes", place, error) from error
        raise
    _end(control, job, "done", None)


def _end(control: Control, job: Job, state: str, error: BaseException | None) -> None:
    try:
        control.end(job.id, state, job.details)
    except (ReindexError, sqlite3.Error) as second:
        if error is None:
            raise
        error.add_note(f"The end of run {job.id} could not be recorded: {second}")


@contextlib.contextmanager
def _alive(workspace: Workspace, job: Job) -> Iterator[None]:
    """Beat and listen in a thread of its own until the block ends."""
    ended = threading.Event()

    def beat() -> None:
        try:
            while not ended.wait(BEAT_S):
                _tick(workspace, job)
        finally:
            workspace.registry.close()  # this thread's connection

    thread = threading.Thread(target=beat, name=f"reindex-run-{job.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _tick(workspace: Workspace, job: Job) -> None:
    """One beat. A registry that is busy or full for a moment must not end the run."""
    if workspace.ending is not None:
        job.pace.stop(workspace.ending)
    try:
        job.listen()
        job.beat()
    except LockLost as lost:
        job.pace.stop(lost)
    except (ReindexError, sqlite3.Error) as error:
        logger.warning("The run's progress could not be recorded: %s", error)
