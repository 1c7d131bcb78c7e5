"""What every request shares: the project, its threads, its encoders, its figures."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from reindex.config.server import ServerSettings
from reindex.encoder.runtime import available_cores
from reindex.errors import Conflict, ReindexError, RunStopped
from reindex.owner.lanes import Lanes
from reindex.project import Project
from reindex.protocols import Encoder
from reindex.retriever import Health
from reindex.rollout.retriever import RollingRetriever
from reindex.server.errors import Problem
from reindex.server.metrics import Metrics
from reindex.server.probe import StoreProbe
from reindex.server.work import Started, Work
from reindex.stages.embedding import Encoders
from reindex.stages.searching import open_retriever

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether this process should get requests, and why not."""

    state: Health | str
    reason: str | None
    version: str | None

    @property
    def takes_requests(self) -> bool:
        """``degraded`` does: an older pair, which fits together, serves."""
        return self.state in ("ready", "degraded")


class Service:
    """One project behind HTTP. Requests are worked on in a few threads; the rest waits in line.

    More threads than cores would only make each other slower: embedding a query is all
    arithmetic.
    """

    def __init__(self, project: Project, lanes: Lanes | None = None) -> None:
        """``lanes``: the owner's, where this process owns the store."""
        self.project = project
        self.work = Work(project, lanes)
        self.settings: ServerSettings = project.settings.server
        self.metrics = Metrics()
        self.probe = StoreProbe(project)
        self.draining = False
        threads = self.settings.threads or available_cores()
        self._threads = ThreadPoolExecutor(threads, "request")
        self._aside = ThreadPoolExecutor(2, "operate")
        self._room = threads + self.settings.max_waiting
        self._taken = 0
        self._encoders = Encoders(project)
        self._retriever = self.retriever()

    def close(self) -> None:
        """Stop jobs where they can be resumed; end the threads, once what they do is done."""
        self.work.close()
        self.probe.close()
        self._threads.shutdown()
        self._aside.shutdown()

    # -- working

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """``work`` in a thread, in its turn.

        Raises:
            Problem: too many wait already (503), or it takes too long (504).
        """
        if self._taken >= self._room:
            raise Problem(
                503, f"{self._taken} requests wait already. Try again in a moment.",
                code="overloaded", headers={"Retry-After": "1"},
            )  # fmt: skip
        self._taken += 1
        future = asyncio.get_running_loop().run_in_executor(
            self._threads, _in_context(work, *args, **kwargs)
        )
        future.add_done_callback(self._leave)
        return await self._in_time(future)

    async def run_aside(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """``work`` on the registry alone, in threads that no search waits for."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._aside, _in_context(work, *args, **kwargs))

    async def finish(self, started: Started) -> Any:
        """The result of a job, however long it takes, or what it raises. It goes on without us."""
        if started.end is None:
            raise Conflict(f"Job {started.record.id} does that already.")
        ended = asyncio.wrap_future(started.end)
        ended.add_done_callback(_look_at)
        await asyncio.wait({ended})
        if started.end.cancelled():
            job = await self.run_aside(self.work.book.get, started.record.id)
            raise RunStopped(job.outcome["error"]["message"])
        return started.end.result()

    @property
    def waiting(self) -> int:
        """Requests that are worked on or wait for a thread."""
        return self._taken

    def _leave(self, _: Any) -> None:
        self._taken -= 1

    async def _in_time(self, future: asyncio.Future[R]) -> R:
        limit = self.settings.request_timeout
        done, _ = await asyncio.wait({future}, timeout=limit)
        if not done:
            future.cancel()  # where it has not begun
            raise Problem(504, f"Not done within {limit:g} s (server.request_timeout).")
        return future.result()

    # -- what is searched

    def retriever(self, version: str | None = None) -> RollingRetriever:
        """Over what is live, or over one version's collection."""
        found = open_retriever(self.project, version)
        found.timed = self.metrics.timed
        return found

    def encoder(self, name: str | None) -> tuple[str, Encoder]:
        """(version, its encoder) for an alias or a version's name; the alias or None: live.

        Raises:
            UnknownVersion: there is no such version. ArtifactError: it is not exported.
            CollectionNotFound: the alias points at nothing.
        """
        return self._encoders.find(name)

    def condition(self) -> Condition:
        """Resolves and, the first time, loads what is live; asks whether the store answers."""
        if self.draining:
            return Condition(
                "draining", "This process ends as soon as its requests are done.", None
            )
        try:
            lease = self._retriever.lease()
            self.probe.live_collection()
        except ReindexError as error:
            return Condition("not ready", str(error), None)
        return Condition(self._retriever.health(), self._retriever.last_error, lease.version)


def _look_at(ended: asyncio.Future[Any]) -> None:
    """So that asyncio does not log what is answered: a flip that was refused is no accident."""
    if not ended.cancelled():
        ended.exception()


def _in_context(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
    """With the caller's context: for whom this is done."""
    return functools.partial(contextvars.copy_context().run, work, *args, **kwargs)
