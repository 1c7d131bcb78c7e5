"""A build that is throttled, paused, cancelled and locked from elsewhere: the real stages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reindex.build import BuildReport, convergence
from reindex.cli import look as look_module
from reindex.cli import main
from reindex.config import load_settings
from reindex.errors import Cancelled, Locked
from reindex.pacing import Budget
from reindex.records import Vector
from reindex.registry.control import Control, RunningRun
from reindex.registry.ledger import Version
from reindex.stages import supervision
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.supervision import supervised
from reindex.stages.upkeep import collect_garbage, status
from tests.hash_encoder import HashEncoder
from tests.hash_project import HashWorkspace, hash_project, write_documents

DOCUMENTS = 400
SMALL = {"embed": {"batch_size": 20}}


class Gate(HashEncoder):
    """An encoder that lets the test in before each batch: ``at`` is called with its number."""

    def __init__(self, version: str, at: Any) -> None:
        super().__init__(32, seed=int(version.removeprefix("v")))
        self._at = at

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        self._at(self.calls)
        return super().encode_documents(texts)


class GatedWorkspace(HashWorkspace):
    """A `HashWorkspace` whose encoder is a `Gate`."""

    at: Any = staticmethod(lambda number: None)
    built: HashEncoder | None = None

    def encoder(self, version: Version, **_: Any) -> Any:
        self.built = Gate(version.name, self.at)
        return self.built


@pytest.fixture(autouse=True)
def _quick_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "BEAT_S", 0.01)
    monkeypatch.setattr(convergence, "PROGRESS_INTERVAL", 0.0)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[GatedWorkspace]:
    write_documents(tmp_path, [f"text {number}" for number in range(DOCUMENTS)])
    hash_project(tmp_path, versions=2, **SMALL).close()
    with GatedWorkspace(load_settings(tmp_path)) as workspace:
        yield workspace


def command(project: GatedWorkspace, *arguments: str, code: int = 0) -> Result:
    """What an operator types in another terminal."""
    result = CliRunner().invoke(main, ["-c", str(project.settings.root), *arguments])
    assert result.exit_code == code, result.output
    return result


class Elsewhere:
    """The registry as another terminal sees it; waits for what a run writes there."""

    def __init__(self, project: GatedWorkspace) -> None:
        self.control = Control(project.registry)

    def until(self, seen: Any) -> RunningRun:
        """The latest run, once ``seen`` holds of it."""
        while not seen(run := self.control.running()[-1]):
            threading.Event().wait(0.001)
        return run

    def heard(self) -> RunningRun:
        """Waits until the run has heard what was ordered before this call.

        It reads its orders before each beat, so the second beat from now on comes after that.
        """
        for _ in range(2):
            before = self.control.running()[-1].beat_at
            run = self.until(lambda run, before=before: run.beat_at > before)
        return run


def last_state(project: GatedWorkspace) -> str:
    return project.registry.runs()[0].state


def test_runs_record_how_they_ended(project: GatedWorkspace) -> None:
    with supervised(project, "build", "v1") as job:
        job.details["points"] = 3
    with pytest.raises(ValueError, match="boom"), supervised(project, "build", "v1"):
        raise ValueError("boom")
    with pytest.raises(KeyboardInterrupt), supervised(project, "train", None):
        raise KeyboardInterrupt
    interrupted, failed, done = project.registry.runs()
    assert [run.state for run in (interrupted, failed, done)] == ["interrupted", "failed", "done"]
    assert done.details == {"points": 3}
    assert "boom" in failed.details["error"]


def test_cancel_from_another_terminal_keeps_what_is_done(project: GatedWorkspace) -> None:
    def at(number: int) -> None:
        if number == 5:
            assert "cancel: build v1" in command(project, "cancel").output
            assert Elsewhere(project).heard().order == "cancel"

    project.at = at
    with pytest.raises(Cancelled) as cancelled:
        build(project, "v1")
    message = str(cancelled.value)
    for part in ("cancelled by", "120 texts embedded", "not complete", "reindex build v1"):
        assert part in message
    assert last_state(project) == "cancelled"
    assert project.store.count("docs--v1") == 120
    assert status(project).running == ()
    project.at = lambda number: None
    report = build(project, "v1")
    assert (report.embedded, report.unchanged, report.complete) == (280, 120, True)


def test_pause_holds_a_run_and_status_says_so(project: GatedWorkspace) -> None:
    elsewhere = Elsewhere(project)
    told: list[str] = []

    def operate() -> None:
        first = elsewhere.until(lambda run: run.waiting == "paused")
        told.append(command(project, "status").output)
        again = elsewhere.until(lambda run: run.beat_at > first.beat_at)
        assert again.done == first.done  # it stands still, and beats
        command(project, "resume")

    def at(number: int) -> None:
        if number == 2:
            command(project, "pause", "v1")
            elsewhere.heard()
            other.start()

    other = threading.Thread(target=operate)
    project.at = at
    assert build(project, "v1").complete
    other.join()
    assert "paused by" in told[0]
    assert "of 400" in told[0]


def test_progress_is_there_for_every_terminal(project: GatedWorkspace) -> None:
    seen: list[RunningRun] = []

    def at(number: int) -> None:
        if number == 10:
            seen.append(
                Elsewhere(project).until(lambda run: run.done >= 100 and run.rate is not None)
            )

    project.at = at
    build(project, "v1")
    (run,) = seen
    assert (run.task, run.stage, run.total) == ("build v1", "build", DOCUMENTS)
    assert run.seconds_left is not None
    assert run.resources == ("collection:docs--v1",)
    assert run.pid == os.getpid()


def test_status_can_be_watched_until_nothing_runs(
    project: GatedWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    def look() -> None:
        shown.append(command(project, "status", "--watch").output)

    def at(number: int) -> None:
        if number == 1:
            other.start()
        if number == 2:
            watched.wait(60)  # the build goes on once it was looked at a second time

    watched, other = threading.Event(), threading.Thread(target=look)
    monkeypatch.setattr(look_module, "time", SimpleNamespace(sleep=lambda seconds: watched.set()))
    project.at = at
    build(project, "v1")
    other.join()
    assert shown[0].count("alias 'docs'") >= 2
    assert "running: build v1" in shown[0].split("alias 'docs'")[1]
    assert "running" not in shown[0].split("alias 'docs'")[-1]
    command(project, "status", "--watch", "--json", code=2)


def test_a_throttle_reaches_a_build_that_runs(project: GatedWorkspace) -> None:
    elsewhere = Elsewhere(project)

    def lift() -> None:
        elsewhere.until(lambda run: run.waiting == "throttle")
        command(project, "throttle", "off")

    def at(number: int) -> None:
        if number == 2:
            command(project, "throttle", "0.001/s")  # the next batch would take hours
            elsewhere.heard()
            other.start()

    other = threading.Thread(target=lift)
    project.at = at
    assert build(project, "v1").complete
    other.join()
    assert status(project).throttle is None


def test_a_throttle_stays_for_later_runs_and_is_shown(project: GatedWorkspace) -> None:
    assert "200 documents a second" in command(project, "throttle", "12_000/min").output
    assert "throttle: 200 documents/s" in command(project, "status").output
    assert "No throttle" in command(project, "throttle", "off").output
    assert "throttle" not in command(project, "status").output


@pytest.mark.parametrize("rate", ["fast", "0", "-3/s", "0/s", "5/year"])
def test_a_rate_that_is_none_is_a_usage_error(project: GatedWorkspace, rate: str) -> None:
    assert "200/s" in command(project, "throttle", "--", rate, code=2).output


def test_orders_need_something_that_runs(project: GatedWorkspace) -> None:
    for verb in ("pause", "resume", "cancel"):
        assert f"nothing to {verb}" in command(project, verb, code=1).output


def test_a_budget_stops_and_the_next_run_goes_on(project: GatedWorkspace) -> None:
    report = build(project, "v1", budget=Budget(texts=100))
    assert isinstance(report, BuildReport)
    assert (report.embedded, report.complete) == (100, False)
    assert "budget of 100 documents" in str(report.stopped)
    assert last_state(project) == "budget"
    assert build(project, "v1", budget=Budget(texts=100)).embedded == 100
    assert build(project, "v1", budget=Budget(texts=1_000)).complete
    assert build(project, "v1", budget=Budget(texts=1)).complete  # nothing to do is no reason


def test_one_build_of_a_collection_at_a_time(project: GatedWorkspace) -> None:
    refused: list[str] = []

    def at(number: int) -> None:
        if number == 1:
            with HashWorkspace(project.settings) as other:
                with pytest.raises(Locked) as locked:
                    build(other, "v1")
                refused.append(str(locked.value))
                long_ago = "2020-01-01T00:00:00.000000+00:00"
                other.registry.update_collection("docs--v1", built_at=long_ago, created_at=long_ago)
                (kept,) = collect_garbage(other).kept
                assert "build v1" in kept[1]

    project.at = at
    build(project, "v1")
    assert f"process {os.getpid()}" in refused[0]
    assert "build v1" in refused[0]
    assert [run.state for run in project.registry.runs()] == ["done"]  # the refusal left no run


def test_a_flip_waits_for_no_other_flip(project: GatedWorkspace) -> None:
    for name in ("v1", "v2"):
        build(project, name)
    promote(project, "v1")
    promote(project, "v2", force=True, reason="test")
    refused: list[str] = []

    def at(number: int) -> None:
        with HashWorkspace(project.settings) as other:
            with pytest.raises(Locked, match="rollback") as locked:
                promote(other, "v1", force=True, reason="at the same time")
            refused.append(str(locked.value))

    write_documents(project.settings.root, [f"text {n}" for n in range(DOCUMENTS + 1)])
    project.at = at
    rollback(project)
    assert len(refused) == 1
    assert project.live_collection() == "docs--v1"


def test_a_cancelled_rollback_does_not_flip(project: GatedWorkspace) -> None:
    for name in ("v1", "v2"):
        build(project, name)
    promote(project, "v1")
    promote(project, "v2", force=True, reason="test")
    write_documents(project.settings.root, [f"new text {n}" for n in range(DOCUMENTS)])

    def at(number: int) -> None:
        if number == 0:
            command(project, "cancel")
            Elsewhere(project).heard()

    project.at = at
    with pytest.raises(Cancelled):
        rollback(project)
    assert project.live_collection() == "docs--v2"
    assert [run.state for run in project.registry.runs()[:2]] == ["cancelled", "cancelled"]


_BUILD = """
import signal
import sys
from pathlib import Path
from reindex.cli.app import terminable
from reindex.config import load_settings
from reindex.stages.building import build
from tests.integration.test_operate import GatedWorkspace

signal.signal(signal.SIGINT, signal.default_int_handler)

def at(number):
    if number == 3:
        print("three", flush=True)
        sys.stdin.readline()

with terminable(), GatedWorkspace(load_settings(Path(sys.argv[1]))) as workspace:
    workspace.at = at
    build(workspace, "v1")
"""


def start_build(project: GatedWorkspace) -> subprocess.Popen[str]:
    """A build in another process, three batches in."""
    child = subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(project.settings.root)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "three\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_terminated_build_keeps_what_is_done_and_says_how_to_go_on(
    project: GatedWorkspace, number: int
) -> None:
    child = start_build(project)
    child.send_signal(number)
    _, errors = child.communicate()
    assert "What was done is kept" in errors
    assert "reindex build v1" in errors
    assert last_state(project) == "interrupted"
    assert Control(project.registry).running() == []
    report = build(project, "v1")
    assert report.complete
    assert report.unchanged >= 40  # three batches were embedded, one of them may be on its way
    assert report.unchanged + report.embedded == DOCUMENTS


def test_a_killed_build_s_lock_is_taken_over_at_once(project: GatedWorkspace) -> None:
    child = start_build(project)
    with pytest.raises(Locked, match=f"process {child.pid}"):
        build(project, "v1")
    child.send_signal(signal.SIGKILL)
    child.communicate()
    report = build(project, "v1")
    assert report.complete
    assert [run.state for run in project.registry.runs()] == ["done", "interrupted"]
