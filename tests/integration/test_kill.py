"""SIGKILL at random points of builds, promotions and rollbacks: nothing lost, nothing torn."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from reindex.config import load_settings
from reindex.stages.building import build
from reindex.stages.promoting import promote
from reindex.stages.upkeep import status
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.kill_loop import change_source, texts_of

ROUNDS = 50


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


def contents(workspace: HashWorkspace, version: str) -> dict[Any, tuple[Any, Any]]:
    pages = workspace.store.scroll(f"docs--{version}", with_payload=True, with_vector=True)
    return {point.id: (point.payload, point.vector) for page in pages for point in page}


def check_history(workspace: HashWorkspace) -> None:
    """Every flip starts where the one before ended, and the last one is what is live."""
    done = workspace.registry.promotions(state="done")[::-1]
    for before, after in pairwise(done):
        assert after.from_collection == before.to_collection
    assert workspace.live_collection() == done[-1].to_collection
    assert len(done) > 10


def test_killed_at_random_the_project_stays_consistent(tmp_path: Path) -> None:
    folder, fresh = tmp_path / "killed", tmp_path / "fresh"
    for place in (folder, fresh):
        place.mkdir()
        write_documents(place, texts_of(0))
    with hash_project(folder) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    dice, longest = random.Random(13), 1.2 * seconds_of_a_round(folder)
    for seed in range(1, ROUNDS + 1):
        run_and_kill(folder, seed, dice.uniform(0, longest))
    with HashWorkspace(load_settings(folder)) as workspace, hash_project(fresh) as undisturbed:
        status(workspace)  # closes what the killed ones left open
        assert workspace.registry.promotions(state="intent") == []
        assert workspace.registry.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        check_history(workspace)
        for place in (folder, fresh):
            change_source(place, 500)
        for version in ("v1", "v2"):
            build(workspace, version, allow_deletes=True)
            build(undisturbed, version)
            found, expected = contents(workspace, version), contents(undisturbed, version)
            assert found.keys() == expected.keys()
            for key, (payload, vector) in expected.items():
                assert found[key][0] == payload
                np.testing.assert_allclose(found[key][1], vector, atol=1e-6)
        assert status(workspace).differences == ()
