"""Locks, beats and orders in the registry."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from reindex.errors import Conflict, Locked, LockLost
from reindex.registry import Registry
from reindex.registry import control as control_module
from reindex.registry.control import Beat, Control

LOCK = "collection:docs--v2"
LONG_AGO = "2020-01-01T00:00:00.000000+00:00"


@pytest.fixture
def control(tmp_path: Path) -> Control:
    return Control(Registry(tmp_path / "registry.db", create=True))


def states(control: Control) -> list[str]:
    return [run.state for run in control._registry.runs()[::-1]]


def pretend(control: Control, run: int, **values: Any) -> None:
    """Let the run be of another process, host or time."""
    beat_at = values.pop("beat_at", None)
    if values:
        control._registry._update("runs", "id", run, **values)
    if beat_at:
        control._registry._update("heartbeats", "run", run, beat_at=beat_at)


def test_one_run_at_a_time_holds_a_lock(control: Control) -> None:
    first = control.begin("build", "v2", [LOCK], "ann@here").id
    control.begin("build", "v3", ["collection:docs--v3"], "bob@here")
    with pytest.raises(Locked) as refused:
        control.begin("rollback", "v2", ["alias:docs", LOCK], "bob@here")
    message = str(refused.value)
    for part in (
        "docs--v2 is being worked on by `build v2`", f"process {os.getpid()}",
        socket.gethostname(), "ann@here", "reindex cancel v2", "reindex status", "s ago",
    ):  # fmt: skip
        assert part in message
    assert len(control.running()) == 2  # the refused one left nothing, no other lock either
    control.begin("promote", "v3", ["alias:docs"], "bob@here")
    control.end(first, "done", {"embedded": 3})
    control.begin("build", "v2", [LOCK], "bob@here")
    assert states(control) == ["done", "running", "running", "running"]
    assert control._registry.runs()[-1].details == {"embedded": 3}


@pytest.mark.parametrize(
    "gone",
    [
        {"pid": 2**22 + 1},  # above the largest number there is
        {"process_start": "before another boot"},  # the number is used again
        {"place": "another container", "beat_at": LONG_AGO},
        {"place": "", "process_start": None, "beat_at": LONG_AGO},  # of an older release
    ],
)
def test_a_dead_owner_s_lock_is_taken_over(control: Control, gone: dict[str, Any]) -> None:
    dead = control.begin("build", "v2", [LOCK], "ann@here").id
    pretend(control, dead, **gone)
    mine = control.begin("build", "v2", [LOCK], "bob@here").id
    assert states(control) == ["interrupted", "running"]
    assert "ended without closing" in control._registry.runs()[1].details["error"]
    assert [run.id for run in control.running()] == [mine]
    with pytest.raises(LockLost, match="took its place"):
        control.beat(dead, Beat())
    control.end(dead, "done", {})  # must not release what is another's now
    assert states(control) == ["interrupted", "running"]
    with pytest.raises(Locked):
        control.begin("build", "v2", [LOCK], "ann@here")


def test_an_owner_elsewhere_lives_as_long_as_it_beats(control: Control) -> None:
    run = control.begin("build", "v2", [LOCK], "ann@there").id
    pretend(control, run, place="another container", pid=2**22 + 1)
    with pytest.raises(Locked):
        control.begin("build", "v2", [LOCK], "bob@here")


def _begin_and_die(path: str) -> None:
    Control(Registry(Path(path))).begin("build", "v2", [LOCK], "child")
    os._exit(9)


def test_a_killed_process_holds_no_lock(control: Control) -> None:
    child = multiprocessing.get_context("spawn").Process(
        target=_begin_and_die, args=(str(control._registry.path),)
    )
    child.start()
    child.join()
    assert control.running() == []
    assert states(control) == ["interrupted"]


def _compete(path: str, barrier: Any, answers: Any) -> None:
    control = Control(Registry(Path(path)))
    barrier.wait(60)
    try:
        control.begin("build", "v2", [LOCK], "child")
        answers.put("won")
    except Locked:
        answers.put("lost")
    barrier.wait(60)  # nobody ends before all have tried


def test_of_four_processes_one_gets_the_lock(control: Control) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.Queue()
    arguments = (str(control._registry.path), barrier, answers)
    children = [context.Process(target=_compete, args=arguments) for _ in range(4)]
    for child in children:
        child.start()
    outcome = sorted(answers.get(timeout=120) for _ in children)
    for child in children:
        child.join()
    assert outcome == ["lost", "lost", "lost", "won"]


def test_beats_tell_how_far_a_run_is(control: Control) -> None:
    run = control.begin("build", "v2", [LOCK], "ann@here").id
    control.beat(run, Beat("build", 10, 40, 5.0, 6.0, "throttle"))
    (found,) = control.running()
    assert (found.stage, found.done, found.total) == ("build", 10, 40)
    assert (found.rate, found.seconds_left, found.waiting) == (5.0, 6.0, "throttle")
    assert (found.task, found.resources, found.who) == ("build v2", (LOCK,), "ann@here")


def test_the_last_order_counts_and_names_who_gave_it(control: Control) -> None:
    two = control.begin("build", "v2", [], "ann@here").id
    three = control.begin("build", "v3", [], "ann@here").id
    assert control.orders(two).verb is None
    assert [run.id for run in control.ask("pause", "bob@here")] == [two, three]
    assert [run.id for run in control.ask("cancel", "bob@here", "v3")] == [three]
    control.ask("resume", "cat@here", "v2")
    assert (control.orders(two).verb, control.orders(two).who) == ("resume", "cat@here")
    assert control.orders(three).verb == "cancel"
    with pytest.raises(Conflict, match="No run of v9"):
        control.ask("pause", "bob@here", "v9")


def test_with_nothing_running_an_order_is_an_error(control: Control) -> None:
    with pytest.raises(Conflict, match="Nothing runs"):
        control.ask("cancel", "ann@here")


def test_the_throttle_stays_until_it_is_lifted(control: Control) -> None:
    assert control.throttle() is None
    control.set_throttle(200, "ann@here")
    control.set_throttle(50.5, "bob@here")
    run = control.begin("build", "v2", [], "ann@here").id
    assert control.orders(run).per_second == 50.5
    throttle = control.throttle()
    assert throttle is not None
    assert throttle.who == "bob@here"
    control.set_throttle(None, "ann@here")
    assert control.orders(run).per_second is None


def test_a_run_whose_end_could_not_be_recorded_holds_nothing(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = control.begin("build", "v2", [LOCK], "ann@here").id
    with monkeypatch.context() as broken:
        broken.setattr(control_module, "now", lambda: [])  # sqlite takes no list: the write fails
        with pytest.raises(sqlite3.Error):
            control.end(run, "failed", {})
    assert control.running() == []
    control.begin("build", "v2", [LOCK], "ann@here")


def test_runs_of_an_older_registry_are_kept_and_numbers_go_on(tmp_path: Path) -> None:
    from reindex.registry import file as registry_file

    path = tmp_path / "registry.db"
    known = registry_file._migrations()
    old = [item for item in known._migrations if item.name == "0001_initial"]
    known._migrations[:] = old
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry_file, "_migrations", lambda: known)
        registry = Registry(path, create=True)
        for state in ("done", "running"):
            registry.execute(
                "INSERT INTO runs (kind, state, pid, host, started_at, details) "
                "VALUES ('build', ?, 1, 'h', ?, '{}')",
                (state, LONG_AGO),
            )
        registry.close()
    control = Control(Registry(path))
    assert control.begin("build", "v1", [], "ann@here").id == 3
    assert states(control) == ["done", "interrupted", "running"]
