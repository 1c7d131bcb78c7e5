"""Who works on what, how far it is, and what operators ask of it.

A run begins together with its locks and ends together with them. While it runs it beats about
once a second, which writes down its progress; a run whose process has ended is closed by whoever
looks next. Orders (pause, resume, cancel) and the throttle are rows that the run reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from reindex.errors import Conflict, Locked, LockLost
from reindex.processes import process_place, same_process
from reindex.registry.file import now
from reindex.registry.ledger import Run
from reindex.registry.registry import Registry

Verb = Literal["pause", "resume", "cancel"]

DEAD_AFTER_S = 60.0
"""A run in another place (a container, another host) is dead after so long without a beat. One of
this place is dead when its process is."""

_abandoned: set[tuple[Path, int]] = set()
"""Runs of this very process whose end could not be written down (a full disk)."""


@dataclass(frozen=True, slots=True)
class RunningRun:
    """A run that runs, with its last beat. ``resources`` are the locks that it holds, ``job`` is
    what was asked for over HTTP.
    """

    id: int
    kind: str
    version: str | None
    pid: int
    host: str
    place: str
    process_start: str | None
    since: str
    who: str
    stage: str
    done: int
    total: int | None
    rate: float | None
    seconds_left: float | None
    waiting: str
    beat_at: str
    order: str | None
    ordered_by: str | None
    job: int | None
    resources: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """``build v2``."""
        return f"{self.kind} {self.version}" if self.version else self.kind


@dataclass(frozen=True, slots=True)
class Beat:
    """What a run tells about itself."""

    stage: str = ""
    done: int = 0
    total: int | None = None
    rate: float | None = None
    seconds_left: float | None = None
    waiting: str = ""


@dataclass(frozen=True, slots=True)
class Throttle:
    """At most so many documents a second, for every run of the project."""

    per_second: float
    who: str
    set_at: str


@dataclass(frozen=True, slots=True)
class Orders:
    """What a run shall do: ``verb`` is the last order, ``who`` gave it."""

    verb: Verb | None
    who: str
    per_second: float | None


_RUNNING = """
SELECT r.id, r.kind, r.version, r.pid, r.host, r.place, r.process_start, r.started_at,
       coalesce(b.who, ''), coalesce(b.stage, ''), coalesce(b.done, 0), b.total, b.rate,
       b.seconds_left, coalesce(b.waiting, ''), coalesce(b.beat_at, r.started_at), o.verb, o.who,
       r.job
FROM runs r LEFT JOIN heartbeats b ON b.run = r.id
LEFT JOIN orders o ON o.id = (SELECT max(id) FROM orders WHERE run = r.id)
WHERE r.state = 'running' ORDER BY r.id
"""


class Control:
    """The registry's tables of locks, beats and orders."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    # -- for the run

    def begin(
        self, kind: str, version: str | None, resources: Iterable[str], who: str,
        job: int | None = None,
    ) -> Run:  # fmt: skip
        """Start a run that holds ``resources``, as a part of ``job``.

        Raises:
            Locked: a living run holds one of them. Nothing was written.
        """
        registry = self._registry
        with registry.transaction():
            running = self.running()
            for resource in resources:
                for other in running:
                    if resource in other.resources:
                        raise Locked(_refusal(resource, other))
            run = registry.start_run(kind, version)
            registry.execute(
                "INSERT INTO heartbeats VALUES (?, ?, '', 0, NULL, NULL, NULL, '', ?)",
                (run.id, who, now()),
            )
            registry.execute("UPDATE runs SET job = ? WHERE id = ?", (job, run.id))
            for resource in resources:
                registry.execute("INSERT INTO locks VALUES (?, ?)", (resource, run.id))
        return run

    def beat(self, run: int, beat: Beat) -> None:
        """Write down that the run lives, and how far it is.

        Raises:
            LockLost: somebody took the run for dead and closed it.
        """
        with self._registry.transaction():
            row = self._registry.execute("SELECT state FROM runs WHERE id = ?", [run]).fetchone()
            if row is None or row[0] != "running":
                raise LockLost(
                    f"Run {run} gave no sign of life for over {DEAD_AFTER_S:g} s, so another one "
                    "took its place. This one ends; what it did is kept."
                )
            self._registry.execute(
                "UPDATE heartbeats SET stage = ?, done = ?, total = ?, rate = ?, "
                "seconds_left = ?, waiting = ?, beat_at = ? WHERE run = ?",
                (beat.stage, beat.done, beat.total, beat.rate, beat.seconds_left, beat.waiting,
                 now(), run),
            )  # fmt: skip

    def orders(self, run: int) -> Orders:
        """What the run is asked for at the moment. Takes no lock."""
        last = self._registry.execute(
            "SELECT verb, who FROM orders WHERE run = ? ORDER BY id DESC LIMIT 1", [run]
        ).fetchone()
        throttle = self.throttle()
        verb, who = last if last else (None, "")
        return Orders(verb, who, throttle.per_second if throttle else None)

    def end(self, run: int, state: str, details: Mapping[str, Any]) -> None:
        """Close a run, unless somebody else has, and release what it holds."""
        told = json.dumps(dict(details), sort_keys=True, default=str)
        try:
            with self._registry.transaction():
                self._registry.execute(
                    "UPDATE runs SET state = ?, finished_at = ?, details = ? "
                    "WHERE id = ? AND state = 'running'",
                    (state, now(), told, run),
                )
                self._registry.execute("DELETE FROM locks WHERE run = ?", [run])
        except BaseException:
            _abandoned.add((self._registry.path, run))
            raise

    # -- for operators

    def running(self) -> list[RunningRun]:
        """Runs that run, oldest first; those whose process has ended are closed on the way."""
        found = self._read()
        if any(map(self._dead, found)):
            with self._registry.transaction():
                for run in filter(self._dead, self._read()):
                    note = f"process {run.pid} on {run.host} ended without closing the run"
                    self.end(run.id, "interrupted", {"error": note})
            found = self._read()
        return found

    def ask(
        self, verb: Verb, who: str, version: str | None = None, *, job: int | None = None
    ) -> list[RunningRun]:
        """Order every running run, or those of one version or job; returns them.

        Raises:
            Conflict: there is none.
        """
        with self._registry.transaction():
            runs = [
                run for run in self.running()
                if version in (None, run.version) and job in (None, run.job)
            ]  # fmt: skip
            if not runs:
                only = version or (None if job is None else f"job {job}")
                what = "Nothing runs" if only is None else f"No run of {only} runs"
                raise Conflict(f"{what} in this project right now, so there is nothing to {verb}.")
            for run in runs:
                self._registry.execute(
                    "INSERT INTO orders (run, verb, who, asked_at) VALUES (?, ?, ?, ?)",
                    (run.id, verb, who, now()),
                )
        return runs

    def throttle(self) -> Throttle | None:
        """The project's throttle; None where runs go as fast as they can."""
        row = self._registry.execute("SELECT per_second, who, set_at FROM throttle").fetchone()
        return Throttle(*row) if row else None

    def set_throttle(self, per_second: float | None, who: str) -> None:
        """Set or lift the throttle. It stays until it is changed, for later runs too."""
        with self._registry.transaction():
            self._registry.execute("DELETE FROM throttle")
            if per_second is not None:
                self._registry.execute(
                    "INSERT INTO throttle VALUES (1, ?, ?, ?)", (per_second, who, now())
                )

    def _read(self) -> list[RunningRun]:
        held: dict[int, tuple[str, ...]] = {}
        for resource, run in self._registry.execute("SELECT resource, run FROM locks"):
            held[run] = (*held.get(run, ()), resource)
        rows = self._registry.execute(_RUNNING).fetchall()
        names = RunningRun.__slots__
        return [
            RunningRun(**dict(zip(names, [*row, held.get(row[0], ())], strict=True)))
            for row in rows
        ]

    def _dead(self, run: RunningRun) -> bool:
        here = run.place == process_place()
        if here and run.pid == os.getpid() and (self._registry.path, run.id) in _abandoned:
            return True
        return process_gone(run.pid, run.place, run.process_start, run.beat_at)


def process_gone(pid: int, place: str, started: str | None, beat_at: str) -> bool:
    """Whether a process has ended: as the system knows where it is of this place, else by its
    last beat.
    """
    if place != process_place():
        return age_s(beat_at) > DEAD_AFTER_S
    return not same_process(pid, started)


def _refusal(resource: str, other: RunningRun) -> str:
    what = resource.partition(":")[2]
    of = "" if other.total is None else f" of {other.total:,}"
    far = f", {other.stage} {other.done:,}{of}" if other.stage else ""
    only = f" {other.version}" if other.version else ""
    return (
        f"{what} is being worked on by `{other.task}` (run {other.id}): process {other.pid} on "
        f"{other.host}, started by {other.who} at {other.since[:19]} UTC{far}, last sign of life "
        f"{max(0.0, age_s(other.beat_at)):.0f} s ago. Wait for it (`reindex status`), or end it "
        f"with `reindex cancel{only}`. The lock of a process that has ended is taken over: at once "
        f"on the same machine, else {DEAD_AFTER_S:g} s after its last sign of life."
    )


def age_s(moment: str) -> float:
    """Seconds since a registry time."""
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
