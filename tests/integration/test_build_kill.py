"""Builds that are killed at random points end, run again, as if nothing had happened."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.build.convergence import QUEUE
from reindex.records import PointId, StoredPoint
from reindex.stores.edge import EdgeStore
from tests import kill_build
from tests.build_fixtures import COLLECTION

ROOT = Path(__file__).parents[2]


class Builds:
    """Runs builds in processes and kills them after a while."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rev = 0
        root.mkdir()

    def run(self, state: int, *, kill_after: float | None = None) -> dict[str, Any] | None:
        """One build; its report, or None where it was killed ``kill_after`` seconds."""
        self.rev += 1
        command = ["-m", "tests.kill_build", str(self.root), str(state), str(self.rev)]
        with subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "building\n"
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.kill()
            report = process.stdout.read()
        if process.returncode == -9:
            return None
        assert process.returncode == 0
        found: dict[str, Any] = json.loads(report)
        return found


def contents(root: Path) -> dict[PointId, StoredPoint]:
    """All points; the rev is left out, for it counts the runs."""
    store: EdgeStore = kill_build.open_store(root)
    found = {}
    for page in store.scroll(COLLECTION, with_payload=True, with_vector=True):
        for point in page:
            assert point.stamp is not None
            found[point.id] = replace(point, stamp=replace(point.stamp, rev=0))
    assert store.missing_vectors(COLLECTION) == set()
    store.close()
    return found


@pytest.mark.parametrize("rounds", [6, pytest.param(25, marks=pytest.mark.slow)])
def test_killed_builds_end_like_undisturbed_ones(tmp_path: Path, rounds: int) -> None:
    rng = random.Random(7)
    killed, whole = Builds(tmp_path / "killed"), Builds(tmp_path / "whole")
    kills, state = 0, 0
    while kills < rounds:
        report = whole.run(state)
        assert report is not None
        longest = report["seconds"]
        while killed.run(state, kill_after=rng.uniform(0, longest)) is None:
            kills += 1
            longest *= 1.1  # a machine that has become slower must still let a build end
        state += 1
    last = killed.run(state - 1)
    assert last is not None
    assert (last["unchanged"], last["embedded"]) == (kill_build.DOCUMENTS, 0)
    assert_equal(contents(killed.root), contents(whole.root))

    # A kill costs what was on its way to the disk: the writer's batch, and those before it.
    lost = kill_build.BATCH * (QUEUE + 2)
    embedded, needed = kill_build.embedded(killed.root), kill_build.embedded(whole.root)
    assert needed <= embedded <= needed + kills * lost


def assert_equal(left: dict[PointId, StoredPoint], right: dict[PointId, StoredPoint]) -> None:
    assert {id: (p.stamp, p.payload) for id, p in left.items()} == {
        id: (p.stamp, p.payload) for id, p in right.items()
    }
    for id, point in right.items():
        other = left[id].vector
        assert point.vector is not None
        assert other is not None
        np.testing.assert_allclose(other, point.vector, atol=1e-6)
