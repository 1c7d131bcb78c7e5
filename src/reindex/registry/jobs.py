"""What was asked for over HTTP, and what became of it.

A job is done by the process that took it, and by no other: one whose process has ended is closed
as interrupted by whoever looks next, as runs are.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reindex.errors import Conflict, RegistryError
from reindex.processes import process_place, process_started
from reindex.registry.control import process_gone
from reindex.registry.file import now
from reindex.registry.registry import Registry

JobState = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]
OPEN: tuple[JobState, ...] = ("waiting", "running")


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as recorded.

    Attributes:
        who: asked for it, as the history names him.
        cancelled_by: asked it to end, whether or not it has.
        outcome: what came of it; of one that did not come to its end, ``error``: code, message.
    """

    id: int
    kind: str
    arguments: dict[str, Any]
    state: JobState
    who: str
    pid: int
    host: str
    place: str
    process_start: str | None
    asked_at: str
    begun_at: str | None
    ended_at: str | None
    beat_at: str
    cancelled_by: str | None
    outcome: dict[str, Any]

    @property
    def open(self) -> bool:
        """Whether it waits or runs."""
        return self.state in OPEN

    @property
    def version(self) -> str:
        """The version it is about; several with commas; empty for none."""
        named = self.arguments.get("name") or self.arguments.get("names") or ""
        return named if isinstance(named, str) else ", ".join(named)


_COLUMNS = ", ".join(JobRecord.__slots__)


class JobBook:
    """The registry's table of jobs."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    # -- for the process that does them

    def add(
        self, kind: str, arguments: Mapping[str, Any], who: str, *, again: bool = True
    ) -> tuple[JobRecord, bool]:
        """A new job of this process; where not ``again``, an equal one that is open instead.

        Returns the job, and whether it is new.
        """
        told, pid, at = json.dumps(dict(arguments), sort_keys=True), os.getpid(), now()
        with self._registry.transaction():
            for job in [] if again else self.open():
                if (job.kind, json.dumps(job.arguments, sort_keys=True)) == (kind, told):
                    return job, False
            made = self._registry.execute(
                "INSERT INTO jobs (kind, arguments, state, who, pid, host, place, process_start, "
                "asked_at, beat_at, outcome) VALUES (?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?, '{}')",
                (kind, told, who, pid, socket.gethostname(), process_place(),
                 process_started(pid), at, at),
            )  # fmt: skip
            return self.get(int(made.lastrowid or 0)), True

    def begin(self, id: int) -> bool:
        """Mark a job as running. False: somebody asked it to end before it began."""
        with self._registry.transaction():
            if self.get(id).cancelled_by is not None:
                return False
            self._registry.execute(
                "UPDATE jobs SET state = 'running', begun_at = ? WHERE id = ?", (now(), id)
            )
        return True

    def end(self, id: int, state: JobState, outcome: Mapping[str, Any]) -> None:
        """Close a job, unless somebody has."""
        told = json.dumps(dict(outcome), sort_keys=True)
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE jobs SET state = ?, ended_at = ?, outcome = ? "
                "WHERE id = ? AND state IN ('waiting', 'running')",
                (state, now(), told, id),
            )

    def beat(self) -> None:
        """This process lives, and so do its jobs."""
        with self._registry.transaction():
            self._registry.execute(
                "UPDATE jobs SET beat_at = ? WHERE state IN ('waiting', 'running') "
                "AND pid = ? AND place = ?",
                (now(), os.getpid(), process_place()),
            )

    # -- for whoever looks, or asks one to end

    def get(self, id: int) -> JobRecord:
        """One job as it is recorded. Raises RegistryError: there is none of this number."""
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE id = ?"  # noqa: S608 (own names)
        row = self._registry.execute(sql, [id]).fetchone()
        if row is None:
            raise RegistryError(f"There is no job {id}.")
        return _record(row)

    def open(self) -> list[JobRecord]:
        """Jobs that wait or run, oldest first; those whose process has ended are closed."""
        found = self._open()
        if any(map(_gone, found)):
            with self._registry.transaction():
                for job in filter(_gone, self._open()):
                    self.end(job.id, "interrupted", {"error": _left(job)})
            found = self._open()
        return found

    def all(self, limit: int = 50) -> list[JobRecord]:
        """The latest jobs, newest first."""
        self.open()  # closes what is over
        sql = f"SELECT {_COLUMNS} FROM jobs ORDER BY id DESC LIMIT ?"  # noqa: S608
        return [_record(row) for row in self._registry.execute(sql, [limit])]

    def cancel(self, id: int, who: str) -> JobRecord:
        """Write down that a job shall end. Raises Conflict: it has ended."""
        with self._registry.transaction():
            job = self.get(id)
            if not job.open:
                raise Conflict(f"Job {id} has ended: {job.state}.")
            self._registry.execute(
                "UPDATE jobs SET cancelled_by = coalesce(cancelled_by, ?) WHERE id = ?", (who, id)
            )
            return self.get(id)

    def _open(self) -> list[JobRecord]:
        sql = f"SELECT {_COLUMNS} FROM jobs WHERE state IN ('waiting', 'running') ORDER BY id"  # noqa: S608
        return [_record(row) for row in self._registry.execute(sql)]


def _gone(job: JobRecord) -> bool:
    return process_gone(job.pid, job.place, job.process_start, job.beat_at)


def _left(job: JobRecord) -> dict[str, str]:
    began = "began" if job.begun_at is None else "was done"
    message = (
        f"Process {job.pid} on {job.host} ended before it {began}. What was done is kept; ask for "
        "it again, and it goes on from there."
    )
    return {"code": "OwnerGone", "message": message}


def _record(row: tuple[Any, ...]) -> JobRecord:
    values = dict(zip(JobRecord.__slots__, row, strict=True))
    values |= {name: json.loads(values[name]) for name in ("arguments", "outcome")}
    return JobRecord(**values)
