"""How a signal ends a command that goes on for good."""

from __future__ import annotations

import signal

import pytest

from reindex.cli.app import Stopping

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_between_two_pieces_of_work_it_is_noted_and_interrupts_nothing(number: int) -> None:
    stopping, reached = Stopping(), False
    with stopping.listening():
        signal.raise_signal(number)
        assert stopping.event.wait(10)
        reached = True
    assert reached


@BOTH
def test_a_piece_of_work_is_interrupted(number: int) -> None:
    stopping, told = Stopping(), ""
    with stopping.listening():
        with stopping.work():
            signal.raise_signal(number)
            told = "went on"
        told = "went on"
    assert (told, stopping.event.is_set()) == ("", True)


def test_no_piece_of_work_begins_after_a_signal() -> None:
    stopping, begun = Stopping(), False
    with stopping.listening():
        signal.raise_signal(signal.SIGTERM)
        stopping.event.wait(10)
        with stopping.work():
            begun = True
    assert not begun


def test_the_handlers_from_before_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Stopping().listening():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
