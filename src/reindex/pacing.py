"""How fast a run may go, and when it must wait or end: throttle, pause, cancel, budget."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from reindex.errors import BudgetSpent, RunStopped

Waiting = Literal["", "throttle", "paused"]

_PAID = 1e-6
"""A debt this small, in documents, is rounding: waiting for it would not end it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Where a run ends although it is not done: after ``seconds``, or ``texts`` documents that
    had to be embedded or written. None: no limit.
    """

    seconds: float | None = None
    texts: int | None = None


class RunPace:
    """Implements `reindex.protocols.Pace`. Orders may come from another thread at any time.

    The throttle is a token bucket that may go into debt: a batch starts when no debt is left, and
    is a debt from then on. So the rate is kept whatever the batches' size, and a new rate applies
    to the debt that is left.

    Args:
        budget: where the run ends.
        clock: seconds, growing.
        wait: waits on the condition for at most so many seconds; None: until it is notified.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float | None], object] | None = None,
    ) -> None:
        self._budget = budget or Budget()
        self._clock = clock
        self._wait = wait or threading.Condition.wait
        self._changed = threading.Condition()
        self._per_second: float | None = None
        self._paused = False
        self._stop: RunStopped | None = None
        self._debt = 0.0
        self._paid_at = self._started = clock()
        self._texts = 0
        self.waiting: Waiting = ""

    # -- orders

    def throttle(self, per_second: float | None) -> None:
        """At most so many documents a second from now on; None: as fast as it goes."""
        with self._changed:
            if per_second != self._per_second:
                self._pay()
                self._per_second = per_second
                self._changed.notify_all()

    def pause(self, paused: bool) -> None:
        """Hold the run at its next batch, or let it go on."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def stop(self, why: RunStopped) -> None:
        """End the run at its next batch. The first reason counts."""
        with self._changed:
            self._stop = self._stop or why
            self._changed.notify_all()

    # -- the run

    def __call__(self, texts: int) -> None:
        """Wait until a batch of ``texts`` documents may go on. Raises RunStopped."""
        with self._changed:
            try:
                while (seconds := self._must_wait(texts)) is None or seconds > 0:
                    self._wait(self._changed, seconds)
            finally:
                self.waiting = ""
            self._debt += texts
            self._texts += texts

    def _must_wait(self, texts: int) -> float | None:
        """Seconds until the batch may go on, as things stand; None: until somebody says so."""
        if self._stop is not None:
            raise self._stop
        left = self._left_s(texts)
        self._pay()
        if self._paused:
            self.waiting = "paused"
            return left
        if not texts or self._per_second is None or self._debt < _PAID:
            return 0.0
        self.waiting = "throttle"
        due = self._debt / self._per_second
        return due if left is None else min(due, left)

    def _left_s(self, texts: int) -> float | None:
        """Seconds that the budget still allows, None where it sets no time; raises BudgetSpent."""
        budget = self._budget
        if texts and budget.texts is not None and self._texts >= budget.texts:
            raise BudgetSpent(f"the budget of {budget.texts:,} documents is spent")
        if budget.seconds is None:
            return None
        left = self._started + budget.seconds - self._clock()
        if left <= 0:
            raise BudgetSpent(f"the budget of {budget.seconds:g} s is spent")
        return left

    def _pay(self) -> None:
        """Pay the debt off for the time since the last payment; nothing is saved up."""
        now = self._clock()
        if self._per_second is None:
            self._debt = 0.0
        else:
            self._debt = max(0.0, self._debt - (now - self._paid_at) * self._per_second)
        self._paid_at = now


class Speed:
    """Units per second over the last ``window`` seconds, and the time left at that speed."""

    def __init__(
        self, window: float = 30.0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._window, self._clock = window, clock
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, done: int) -> float | None:
        """Note that ``done`` units are done by now; the speed, None until it can be told."""
        now = self._clock()
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()  # another pass
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._window:
            self._seen.popleft()
        (then, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - then) if last > then else None

    @staticmethod
    def seconds_left(rate: float | None, done: int, total: int | None) -> float | None:
        """Time left at ``rate``; None where it cannot be told."""
        if not rate or total is None:
            return None
        return max(0, total - done) / rate
