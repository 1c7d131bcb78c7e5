"""Throttle, pause, cancel and budget, by a clock that the test winds."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from reindex.errors import BudgetSpent, Cancelled, LockLost
from reindex.pacing import Budget, RunPace, Speed


class Clock:
    """Time passes only while somebody waits; then ``meanwhile`` happens, once each."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float | None] = []
        self.meanwhile: list[Callable[[], None]] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        self.waits.append(seconds)
        if self.meanwhile:
            self.now += min(seconds or 1.0, 1.0)
            self.meanwhile.pop(0)()
        else:
            assert seconds is not None, "this would wait for ever"
            self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pace_of(clock: Clock, budget: Budget | None = None) -> RunPace:
    return RunPace(budget, clock=clock, wait=clock.wait)


def test_without_orders_nothing_waits(clock: Clock) -> None:
    pace = pace_of(clock)
    for _ in range(10):
        pace(1_000)
    assert clock.waits == []


@pytest.mark.parametrize("batch", [1, 7, 256, 1000])
@pytest.mark.parametrize("rate", [0.5, 200.0])
def test_the_throttle_holds_the_rate_whatever_the_batch(
    clock: Clock, batch: int, rate: float
) -> None:
    pace = pace_of(clock)
    pace.throttle(rate)
    batches = 50
    for _ in range(batches):
        pace(batch)
    # the first batch starts at once, each other one when the one before is paid for
    assert clock.now - 100 == pytest.approx((batches - 1) * batch / rate)


def test_time_spent_working_counts_and_is_not_saved_up(clock: Clock) -> None:
    pace = pace_of(clock)
    pace.throttle(10)
    pace(10)
    clock.now += 100  # slower than allowed: no debt, but no credit either
    pace(10)
    assert clock.waits == []
    pace(10)
    assert clock.waits == [pytest.approx(1.0)]


def test_batches_with_nothing_to_do_are_not_throttled(clock: Clock) -> None:
    pace = pace_of(clock)
    pace.throttle(1)
    pace(100)
    for _ in range(100):
        pace(0)
    assert clock.waits == []


def test_a_new_rate_applies_to_the_debt_that_is_left(clock: Clock) -> None:
    pace = pace_of(clock)
    pace.throttle(1)
    pace(101)
    clock.meanwhile = [lambda: pace.throttle(1), lambda: pace.throttle(100)]
    pace(1)
    assert clock.waits == [pytest.approx(101), pytest.approx(100), pytest.approx(0.99)]


def test_lifting_the_throttle_lets_go_at_once(clock: Clock) -> None:
    pace = pace_of(clock)
    pace.throttle(0.001)
    pace(100)
    seen: list[str] = []

    def lift() -> None:
        seen.append(pace.waiting)
        pace.throttle(None)

    clock.meanwhile = [lift]
    pace(100)
    assert seen == ["throttle"]
    assert pace.waiting == ""
    pace(100)
    assert len(clock.waits) == 1


def test_a_pause_waits_until_it_is_lifted(clock: Clock) -> None:
    pace = pace_of(clock)
    seen: list[str] = []

    def look() -> None:
        seen.append(pace.waiting)

    pace.pause(True)
    clock.meanwhile = [look, look, lambda: pace.pause(False)]
    pace(0)
    assert clock.waits == [None, None, None]
    assert seen == ["paused", "paused"]
    assert pace.waiting == ""


def test_cancel_ends_a_run_that_works_waits_or_is_paused(clock: Clock) -> None:
    pace = pace_of(clock)
    pace.pause(True)
    clock.meanwhile = [lambda: pace.stop(Cancelled("enough"))]
    with pytest.raises(Cancelled, match="enough"):
        pace(1)
    pace.stop(LockLost("too late"))
    with pytest.raises(Cancelled, match="enough"):
        pace(0)


def test_a_budget_of_documents_counts_what_had_to_be_done(clock: Clock) -> None:
    pace = pace_of(clock, Budget(texts=10))
    for _ in range(100):
        pace(0)
    pace(6)
    pace(6)
    pace(0)  # nothing left to do is no reason to stop
    with pytest.raises(BudgetSpent, match="10 documents"):
        pace(1)


def test_a_budget_of_time_ends_also_what_waits(clock: Clock) -> None:
    pace = pace_of(clock, Budget(seconds=60))
    pace(5)
    pace.pause(True)
    with pytest.raises(BudgetSpent, match="60 s"):
        pace(5)
    assert clock.now == 160
    throttled = pace_of(clock, Budget(seconds=60))
    throttled.throttle(1)
    throttled(1000)
    with pytest.raises(BudgetSpent):
        throttled(1)
    assert clock.now == 220


def test_orders_from_another_thread_wake_a_run_that_waits() -> None:
    pace = RunPace()
    pace.pause(True)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            pace(1)
        except Cancelled as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    pace.stop(Cancelled("from outside"))
    thread.join(60)
    assert not thread.is_alive()
    assert [str(error) for error in errors] == ["from outside"]


def test_speed_is_that_of_the_last_window(clock: Clock) -> None:
    speed = Speed(30, clock=clock)
    assert speed.of(0) is None
    done = 0
    for _ in range(60):
        clock.now += 1
        done += 100
        rate = speed.of(done)
    assert rate == pytest.approx(100)
    for _ in range(60):
        clock.now += 1
        done += 10
        rate = speed.of(done)
    assert rate == pytest.approx(10)
    assert Speed.seconds_left(rate, done, done + 100) == pytest.approx(10)
    assert Speed.seconds_left(rate, done, None) is None
    assert Speed.seconds_left(0.0, 1, 2) is None
    clock.now += 1
    assert speed.of(0) is None  # another pass begins
