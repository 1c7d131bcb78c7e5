"""Where a process does what others ask of it: a few threads per lane, and what runs in them."""

from __future__ import annotations

import contextvars
import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from reindex.errors import RunStopped
from reindex.owner.jobs import KINDS, LANES, Lane
from reindex.owner.running import Job

Log = Callable[[str], None]
R = TypeVar("R")


def no_log(_: str) -> None:
    """The default: say nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, by which process, and its number in the registry, where it has one."""

    kind: str
    request: Mapping[str, Any]
    asked_by: int
    recorded: int | None = None


class Lanes:
    """Takes jobs, from any thread. To be closed."""

    def __init__(self, log: Log = no_log) -> None:
        """``log`` gets a line when a job that is not a search or a write begins and ends."""
        self._log, self._numbers = log, itertools.count(1)
        self._pools: dict[Lane, ThreadPoolExecutor] = {
            lane: ThreadPoolExecutor(size, thread_name_prefix=f"reindex-{lane}")
            for lane, size in LANES.items()
        }
        self._jobs: dict[int, tuple[Job, Future[Any]]] = {}
        self._lock = threading.Lock()

    def start(self, asked: Asked, work: Callable[[Job], R]) -> tuple[Job, Future[R], Job | None]:
        """Have ``work`` done in the lane of its kind, for whom the caller acts.

        Returns the job, its end, and the job that has its turn first, where it has to wait.
        """
        kind = KINDS[asked.kind]
        with self._lock:
            job = Job(next(self._numbers), kind, asked.request, asked.asked_by, asked.recorded)
            ahead = [other for other, _ in self._jobs.values() if other.kind.lane == kind.lane]
            context = contextvars.copy_context()
            future = self._pools[kind.lane].submit(context.run, work, job)
            self._jobs[job.number] = (job, future)
        self._tell(job, f"asked for by process {asked.asked_by}")
        future.add_done_callback(lambda _: self._forget(job))
        return job, future, ahead[-1] if ahead and LANES[kind.lane] == 1 else None

    def all(self) -> list[Job]:
        """What runs and waits, oldest first."""
        with self._lock:
            return [job for job, _ in self._jobs.values()]

    def stop(self, why: str) -> list[Future[Any]]:
        """Let all end where they can be resumed; their ends."""
        with self._lock:
            found = list(self._jobs.values())
        for job, future in found:
            job.stop(RunStopped(why))
            future.cancel()
        return [future for _, future in found]

    def close(self) -> None:
        """End the threads, once what they do is done."""
        for pool in self._pools.values():
            pool.shutdown()

    def _forget(self, job: Job) -> None:
        with self._lock:
            del self._jobs[job.number]
        self._tell(job, job.outcome)

    def _tell(self, job: Job, what: str) -> None:
        if job.kind.lane != "aside":  # searches come by the thousand
            self._log(f"{job}: {what}")
