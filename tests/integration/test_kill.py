"""SIGKILL at random points of builds, promotions, rollbacks and single writes: nothing lost."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from reindex.config import load_settings
from reindex.corpus.dead_letters import IgnoredLetters
from reindex.records import point_id
from reindex.stages.building import build
from reindex.stages.promoting import promote
from reindex.stages.upkeep import status
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.kill_loop import change_source, texts_of
from tests.storm import Oracle


def start(folder: Path, seed: int) -> subprocess.Popen[str]:
    """A process that works on the project; returns when it begins to."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.kill_loop", str(folder), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
    return worker


def seconds_of_a_round(folder: Path) -> float:
    """How long one round of everything takes on this machine, as busy as it is."""
    worker = start(folder, seed=0)
    assert worker.stdout is not None
    began = time.monotonic()
    for _ in range(3):
        assert worker.stdout.readline() == "round\n"
    worker.kill()
    worker.communicate()
    return (time.monotonic() - began) / 3


def run_and_kill(folder: Path, seed: int, after: float) -> None:
    worker = start(folder, seed)
    killer = threading.Timer(after, worker.kill)
    killer.start()
    _, errors = worker.communicate()
    killer.join()
    assert worker.returncode == -9, errors


def check_history(workspace: HashWorkspace) -> None:
    """Every flip starts where the one before ended, and the last one is what is live."""
    done = workspace.registry.promotions(state="done")[::-1]
    for before, after in pairwise(done):
        assert after.from_collection == before.to_collection
    assert workspace.live_collection() == done[-1].to_collection
    assert len(done) > 2


def oracle_of(workspace: HashWorkspace) -> Oracle:
    """The files as they are, and above them the single writes of all the killed processes."""
    documents = workspace.source.documents(IgnoredLetters())
    oracle = Oracle({point_id(doc.id): doc.payload for doc in documents})
    oracle.heard([workspace.settings.root / "writes.log"])
    return oracle


@pytest.mark.parametrize(
    "rounds", [10, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(7200)])]
)
def test_killed_at_random_nothing_is_lost(tmp_path: Path, rounds: int) -> None:
    write_documents(tmp_path, texts_of(0))
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    dice, longest = random.Random(13), 1.2 * seconds_of_a_round(tmp_path)
    for seed in range(1, rounds + 1):
        run_and_kill(tmp_path, seed, dice.uniform(0, longest))
    with HashWorkspace(load_settings(tmp_path)) as workspace:
        status(workspace)  # closes what the killed ones left open
        assert workspace.registry.promotions(state="intent") == []
        assert workspace.registry.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        check_history(workspace)
        change_source(tmp_path, 500)
        oracle = oracle_of(workspace)
        print(f"{oracle.acknowledged} writes acknowledged, {len(oracle.attempts)} tried")
        assert oracle.acknowledged > rounds
        for version in ("v1", "v2"):
            build(workspace, version, allow_deletes=True)
        for version in ("v1", "v2"):
            oracle.check(workspace, version)
        assert status(workspace).differences == ()
