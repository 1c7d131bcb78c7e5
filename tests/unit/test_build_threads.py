"""Channels and stages: bounded, and ending together."""
# ruff: noqa: PT012 (what stands in the block is the stages' own work)

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from reindex.build.threads import Channel, Stages, Stopped


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def test_items_arrive_in_order_and_then_the_end() -> None:
    channel = Channel[int](2)
    with Stages() as stages:
        stages.attach(channel)
        stages.start("numbers", lambda: channel.fill(range(100)))
        assert list(channel) == list(range(100))


def test_a_full_channel_holds_its_writer_back() -> None:
    channel = Channel[int](2)
    made: list[int] = []
    third = threading.Event()

    def work() -> None:
        for number in range(5):
            if number == 2:
                third.set()
            channel.put(number)
            made.append(number)
        channel.finish()

    with Stages() as stages:
        stages.attach(channel)
        stages.start("writer", work)
        assert third.wait(10)
        assert made == [0, 1]
        assert next(iter(channel)) == 0
        assert list(channel) == [1, 2, 3, 4]


def test_an_error_in_a_thread_is_raised_in_the_caller() -> None:
    channel, other = Channel[int](1), Channel[int](1)

    def fail() -> None:
        raise OSError("the first")

    with pytest.raises(OSError, match="the first"), Stages() as stages:
        stages.attach(channel)
        stages.attach(other)
        stages.start("endless", lambda: other.fill(iter(int, 1)))  # never finishes by itself
        stages.start("failing", fail)
        list(channel)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt()])
def test_an_error_in_the_caller_stops_the_threads(error: BaseException) -> None:
    channel = Channel[int](1)
    with pytest.raises(type(error)) as caught, Stages() as stages:
        stages.attach(channel)
        stages.start("endless", lambda: channel.fill(iter(int, 1)))
        raise error
    assert caught.value is error


def test_a_drained_channel_is_emptied_after_an_error() -> None:
    channel = Channel[int](5)
    got: list[int] = []
    go = threading.Event()

    def drain() -> None:
        go.wait(10)
        got.extend(channel)

    with pytest.raises(ValueError, match="late"), Stages() as stages:
        stages.attach(channel, drain=True)
        stages.start("drain", drain, reads=channel)
        for number in range(5):
            channel.put(number)
        go.set()
        raise ValueError("late")
    assert got == [0, 1, 2, 3, 4]


def test_a_failed_drain_stops_its_writer() -> None:
    channel = Channel[int](1)

    def fail() -> None:
        for _ in channel:
            raise OSError("cannot write")

    with pytest.raises(OSError, match="cannot write"), Stages() as stages:
        stages.attach(channel, drain=True)
        stages.start("drain", fail, reads=channel)
        channel.fill(iter(int, 1))


def test_an_aborted_channel_stops_both_sides() -> None:
    channel = Channel[int](1)
    channel.put(1)
    channel.abort()
    with pytest.raises(Stopped):
        channel.put(2)
    with pytest.raises(Stopped):
        next(iter(channel))
