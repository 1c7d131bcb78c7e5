"""Many requests at a time, each answer journaled by the thread that got it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reindex.errors import BudgetSpent, EndpointRefused, ReindexError, SynthesisError
from reindex.synthesis.budget import Purse
from reindex.synthesis.endpoint import Endpoint
from reindex.synthesis.journal import Journal
from reindex.synthesis.replies import Answer, PassageRefused, Tokens

FAILURES_IN_A_ROW = 8
"""After so many requests (at least) that failed one after another nothing more is asked."""
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt and the key that its answer is kept by."""

    key: str
    prompt: str


@dataclass(slots=True)
class Asked:
    """What came of the requests of one run. ``stopped`` says why not all were made, if not."""

    answered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    stopped: str = ""
    left: int = 0


class Crew:
    """Threads that ask an endpoint. They end with the process, whatever they wait for.

    Args:
        endpoint, journal, purse: as they are.
        model: whose answers the journal keeps.
        size: requests at a time.
        tick: called with the number of requests that are over; may raise to end the run.
    """

    def __init__(
        self, endpoint: Endpoint, journal: Journal, purse: Purse, *, model: str, size: int,
        tick: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._endpoint, self._journal, self._purse = endpoint, journal, purse
        self._model, self._size, self._tick = model, size, tick
        self._todo: queue.SimpleQueue[tuple[Request, float] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._under_way = self._over = self._in_a_row = 0

    def ask(self, requests: Sequence[Request]) -> Asked:
        """Ask them all, as far as the purse allows.

        Raises:
            EndpointRefused: the endpoint refuses whatever it is asked.
            SynthesisError: too many requests failed one after another.
            KeyboardInterrupt: what was under way was waited for, unless it came a second time.
        """
        asked = Asked()
        for _ in range(min(self._size, len(requests))):
            threading.Thread(target=self._work, name="reindex-synthesis", daemon=True).start()
        try:
            self._ask(requests, asked)
            self._drain(asked, until=0)
        except BaseException as error:
            self._endpoint.end()
            self._wait_for_the_rest(asked)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(_kept(asked)) from None
            raise
        finally:
            for _ in range(self._size):
                self._todo.put(None)
        return asked

    def _ask(self, requests: Sequence[Request], asked: Asked) -> None:
        for number, request in enumerate(requests):
            self._drain(asked, until=self._size - 1)
            try:
                reserved = self._reserve(request, asked)
            except BudgetSpent as spent:
                asked.stopped, asked.left = str(spent), len(requests) - number
                return
            self._under_way += 1
            self._todo.put((request, reserved))

    def _reserve(self, request: Request, asked: Asked) -> float:
        """Wait for requests under way where what they put aside is in the way."""
        while True:
            try:
                return self._purse.reserve(request.prompt)
            except BudgetSpent:
                if not self._under_way:
                    raise
                self._drain(asked, until=self._under_way - 1)

    def _drain(self, asked: Asked, *, until: int) -> None:
        """Take results until at most so many requests are under way."""
        while self._under_way > until:
            with contextlib.suppress(queue.Empty):
                result = self._done.get(timeout=POLL_S)
                self._under_way -= 1
                self._over += 1
                self._count(result, asked)
            self._tick(self._over)

    def _wait_for_the_rest(self, asked: Asked) -> None:
        """Requests under way may be paid for already: their answers are taken in."""
        while self._under_way:
            asked.answered += self._done.get() is None
            self._under_way -= 1

    def _count(self, result: BaseException | None, asked: Asked) -> None:
        if result is None:
            asked.answered, self._in_a_row = asked.answered + 1, 0
            return
        if isinstance(result, EndpointRefused) or not isinstance(result, ReindexError):
            raise result
        asked.failed[str(result)] += 1
        self._in_a_row += 1
        if self._in_a_row >= max(FAILURES_IN_A_ROW, self._size):
            raise SynthesisError(
                f"{self._in_a_row} requests failed one after another, the last with: {result}. "
                f"{_kept(asked)}"
            )

    # -- in the threads

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            request, reserved = item
            try:
                self._one(request)
                result: BaseException | None = None
            except BaseException as error:
                result = error
            self._purse.release(reserved)
            self._done.put(result)

    def _one(self, request: Request) -> None:
        try:
            answer = self._endpoint.ask(request.prompt)
        except PassageRefused as refused:
            answer = Answer(refused.outcome, str(refused), Tokens(0, 0))
        self._journal.record(request.key, self._model, answer)
        self._purse.pay(answer.tokens)


def _kept(asked: Asked) -> str:
    return (
        f"The answers so far are kept ({asked.answered:,} of this run); the same command goes on "
        "and asks none of them again."
    )
