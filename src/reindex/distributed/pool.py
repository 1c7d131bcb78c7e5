"""Actors of one kind: work goes to whichever is free, and away from those that are lost."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from reindex.distributed.failures import last_line, raised_there
from reindex.errors import BuildError

logger = logging.getLogger(__name__)

AHEAD = 2
"""Calls per worker at a time: one runs while the next one travels, or waits for the store."""
PATIENCE = 300.0
"""Seconds without a single worker before the run gives up."""

Item = TypeVar("Item")

Raised = Callable[[BaseException, str], Exception]
"""Ray's wrapper of an error, and what was being done -> what is raised here."""


class Pool:
    """Starts actors, hands them work, and waits for those that come back.

    A call that dies with its worker or machine goes to another one; Ray starts the worker again
    where there is room, and it is used again once it has said who it is. For one calling thread.

    Args:
        start: starts an actor, which has a method ``identity``.
        check: looks at what `identity` gives; raises where the actor must not be used.
        workers: how many.
        wants: what each needs, for messages.
    """

    def __init__(
        self, start: Callable[[], Any], check: Callable[[Any], None], workers: int, wants: str
    ) -> None:
        self._start, self._check, self.workers, self._wants = start, check, workers, wants
        self._actors: list[Any] = []
        self._idle: deque[Any] = deque()
        self._loading: dict[Any, Any] = {}
        self.lost = 0

    def start(self) -> None:
        """Start the actors and wait for the first.

        Raises:
            BuildError: none came up.
            ReindexError: whatever ``check`` or the actor's `identity` raises.
        """
        self._actors = [self._start() for _ in range(self.workers)]
        for actor in self._actors * AHEAD:
            self._load(actor)
        self._wait_for_one()

    def close(self) -> None:
        """End the actors."""
        import ray

        while self._actors:
            ray.kill(self._actors.pop())
        self._idle.clear()
        self._loading.clear()

    def each(
        self,
        items: Iterator[Item | None],
        call: Callable[[Any, Item], Any],
        *,
        doing: str,
        again: Callable[[Item], Item] = lambda item: item,
        raised: Raised = raised_there,
    ) -> Iterator[tuple[Item, Any]]:
        """Each item and its result, in any order.

        Args:
            items: asked whenever a worker is free; None: not now, once more is done.
            call: begins an item on an actor; gives Ray's reference to the result.
            doing: what it is, for messages.
            again: an item whose worker was lost, for another one.
            raised: what an actor raised, as it is raised here.

        Raises:
            BuildError: all workers are gone and none came back.
            Exception: the first that ``items`` or an actor raised, once all others are done.
        """
        run = _Calls(items)
        while run.open:
            self._take_loaded()
            self._hand_out(run, call)
            yield from self._results(run, again, doing, raised)
        if run.error is not None:
            raise run.error

    def _hand_out(self, run: _Calls[Item], call: Callable[[Any, Item], Any]) -> None:
        if not (self._idle or run.running):
            self._wait_for_one()
        while self._idle and (item := run.next()) is not None:
            actor = self._idle.popleft()
            run.running[call(actor, item)] = (actor, item)

    def _results(
        self,
        run: _Calls[Item],
        again: Callable[[Item], Item],
        doing: str,
        raised: Raised,
    ) -> Iterator[tuple[Item, Any]]:
        import ray

        done, _ = ray.wait(list(run.running), timeout=1.0) if run.running else ([], [])
        for ref in done:
            actor, item = run.running.pop(ref)
            try:
                result = ray.get(ref)
            except ray.exceptions.RayTaskError as error:
                run.error = run.error or raised(error, doing)
                self._idle.append(actor)
            except ray.exceptions.RayError as error:
                self.lost += 1
                logger.warning("a worker was lost, its work goes to another: %s", last_line(error))
                run.todo.append(again(item))
                self._load(actor)
            else:
                self._idle.append(actor)
                yield item, result

    def _load(self, actor: Any) -> None:
        """Give the actor one more call at a time once it says who it is."""
        self._loading[actor.identity.remote()] = actor

    def _take_loaded(self, timeout: float = 0.0) -> None:
        import ray

        if not self._loading:
            return
        done, _ = ray.wait(list(self._loading), timeout=timeout)
        for call in done:
            actor = self._loading.pop(call)
            try:
                found = ray.get(call)
            except ray.exceptions.RayTaskError as error:
                raise raised_there(error, "embedding") from error
            except ray.exceptions.RayError:
                self._load(actor)  # it died again, or is not back yet
                continue
            self._check(found)
            self._idle.append(actor)

    def _wait_for_one(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self._idle:
            if time.monotonic() > until:
                raise BuildError(
                    f"no worker of the cluster was there for {PATIENCE:.0f} s; each wants "
                    f"{self._wants}. What was done is kept; run the build again once there are "
                    "machines."
                )
            self._take_loaded(timeout=1.0)


@dataclass(slots=True)
class _Calls(Generic[Item]):
    """The state of one `Pool.each`."""

    items: Iterator[Item | None]
    todo: deque[Item] = field(default_factory=deque)
    running: dict[Any, tuple[Any, Item]] = field(default_factory=dict)
    error: Exception | None = None
    more: bool = True

    @property
    def open(self) -> bool:
        """Whether there is something to do, or may be."""
        return bool(self.running or self.todo or (self.more and self.error is None))

    def next(self) -> Item | None:
        """What to hand out now: what was lost first, also after an error."""
        if self.todo:
            return self.todo.popleft()
        if not self.more or self.error is not None:
            return None
        try:
            return next(self.items)
        except StopIteration:
            self.more = False
        except Exception as error:
            self.error = error
        return None
