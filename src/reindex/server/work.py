"""Long work asked for over HTTP: recorded in the registry, done in this process' lanes.

With the embedded store the lanes are the owner's: a build asked for here and one asked for in a
terminal go one after the other.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import reindex.stages.jobs  # noqa: F401 (fills the table of jobs)
from reindex.errors import Cancelled, Conflict, ReindexError, RunStopped
from reindex.owner.lanes import Asked, Lanes
from reindex.owner.running import Job
from reindex.plain import to_plain
from reindex.project import Project
from reindex.promotion import operator
from reindex.registry.control import Control, Verb
from reindex.registry.jobs import JobBook, JobRecord, JobState

logger = logging.getLogger(__name__)

BEAT_S = 5.0
"""Seconds between two signs of life of this process' jobs."""

ENDS: tuple[tuple[type[BaseException], JobState], ...] = (
    (Cancelled, "cancelled"), (RunStopped, "interrupted"), (BaseException, "failed"),
)  # fmt: skip
"""What a job's exception makes of it, the first that fits."""

_ENDING = "This process is ending. Ask for it again in a moment."


def _compared(value: Any) -> dict[str, Any]:
    stored, found = value
    return {"comparison": stored.id, "verdict": found.verdict, "reason": found.reason}


OUTCOMES: dict[str, Callable[[Any], Any]] = {
    "compare": _compared,
    "compare-several": lambda value: {"comparisons": [_compared(one) for one in value]},
    "build": to_plain,
    "promote": to_plain,
    "rollback": to_plain,
}
"""Kind of job -> what is kept of its result: the registry has the rest."""


@dataclass(frozen=True, slots=True)
class Started:
    """A job that was taken; ``end`` is its result, None where an equal one was open already."""

    record: JobRecord
    end: Future[Any] | None


class Work:
    """The jobs of one server."""

    def __init__(self, project: Project, lanes: Lanes | None = None) -> None:
        """``lanes``: the owner's, where this process is one; else its own."""
        self._project = project
        self.book = JobBook(project.registry)
        self._shared = lanes is not None
        self._lanes = lanes or Lanes()
        self._mine: dict[int, tuple[Job, Future[Any]]] = {}
        self._lock = threading.Condition()
        self._closing = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="reindex-jobs", daemon=True)
        self._beating.start()

    def start(self, kind: str, arguments: Mapping[str, Any], *, again: bool = True) -> Started:
        """Take a job, for whom the caller acts. Where not ``again``, an equal open one is enough.

        Raises:
            RunStopped: this process is ending.
        """
        if self._closing.is_set():
            raise RunStopped(_ENDING)
        plain = to_plain(arguments)
        record, new = self.book.add(kind, plain, operator(), again=again)
        if not new:
            return Started(record, None)
        asked = Asked(kind, {"arguments": plain}, os.getpid(), record.id)
        try:
            with self._lock:
                job, future, _ = self._lanes.start(asked, self._do)
                self._mine[record.id] = (job, future)
        except RuntimeError as error:  # the owner has closed its lanes
            stopped = {"code": "RunStopped", "message": _ENDING}
            self.book.end(record.id, "interrupted", {"error": stopped})
            raise RunStopped(_ENDING) from error
        future.add_done_callback(lambda _: self._ended(record.id, future))
        return Started(record, future)

    def ask(self, verb: Verb, id: int) -> JobRecord:
        """Pause, resume or cancel a job, whichever process does it.

        Raises:
            RegistryError: there is none. Conflict: it has ended, or has not begun what can be
                paused.
        """
        if verb == "cancel":
            self.book.cancel(id, operator())
            self._stop_here(id)
        elif not self.book.get(id).open:
            raise Conflict(f"Job {id} has ended, so there is nothing to {verb}.")
        try:
            Control(self._project.registry).ask(verb, operator(), job=id)
        except Conflict:
            if verb != "cancel":
                raise
        return self.book.get(id)

    def close(self) -> None:
        """Let what was asked for end where it can be resumed, and wait for that."""
        self._closing.set()
        self._beating.join()
        with self._lock:
            mine = list(self._mine.values())
        for job, future in mine:
            job.stop(RunStopped("the server was told to end"))
            future.cancel()
        with self._lock:
            self._lock.wait_for(lambda: not self._mine)
        if not self._shared:
            self._lanes.close()

    # -- within the lanes

    def _do(self, job: Job) -> Any:
        assert job.recorded is not None
        try:
            if not self.book.begin(job.recorded):
                raise Cancelled(f"cancelled by {self.book.get(job.recorded).cancelled_by}")
            return job.do(self._project)
        except BaseException as error:
            job.outcome = f"{type(error).__name__}: {error}"
            raise

    def _ended(self, id: int, future: Future[Any]) -> None:
        job = self._mine[id][0]
        try:
            self.book.end(id, *self._outcome(id, job, future))
        except (ReindexError, sqlite3.Error):
            logger.exception("The end of job %d could not be recorded", id)
        finally:
            self._project.registry.close()  # the lane's thread's connection
            with self._lock:
                del self._mine[id]
                self._lock.notify_all()

    def _outcome(self, id: int, job: Job, future: Future[Any]) -> tuple[JobState, dict[str, Any]]:
        error: BaseException | None
        if future.cancelled():
            by = self.book.get(id).cancelled_by
            error = Cancelled(f"cancelled by {by}") if by else RunStopped(job.outcome)
        else:
            error = future.exception()
        if error is None:
            return "done", OUTCOMES[job.kind.name](future.result())
        if not isinstance(error, ReindexError):
            logger.error("job %d failed", id, exc_info=error)
        state = next(state for kind, state in ENDS if isinstance(error, kind))
        return state, {"error": {"code": type(error).__name__, "message": str(error)}}

    def _stop_here(self, id: int) -> None:
        with self._lock:
            found = self._mine.get(id)
        if found is not None:
            job, future = found
            job.stop(Cancelled(f"cancelled by {operator()}"))
            future.cancel()

    def _beat(self) -> None:
        """So that other places know these jobs for alive."""
        try:
            while not self._closing.wait(BEAT_S):
                if not self._mine:
                    continue
                try:
                    self.book.beat()
                except (ReindexError, sqlite3.Error) as error:
                    logger.warning("The jobs' sign of life could not be recorded: %s", error)
        finally:
            self._project.registry.close()
