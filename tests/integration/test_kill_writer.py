"""SIGKILL between the journal and any collection, and at any step of a cut-over: every
acknowledged write is in every collection, and nothing else is.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.indexing import Indexer
from reindex.indexing.apply import replay
from reindex.records import point_id
from reindex.stages.building import build
from reindex.stages.promoting import promote
from reindex.stages.upkeep import status
from tests.hash_project import HashWorkspace, encoder_of, hash_project, write_documents

TEXTS = [f"the text of document number {number}" for number in range(12)]
V1, V2 = "docs--v1", "docs--v2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """v1 is live and the source; v2 is built."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, build={"allow_deletes": 1.0}) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    file = tmp_path / "reindex.toml"
    text = file.read_text("utf-8").replace('# kind = "beir"', 'kind = "collection"')
    file.write_text(text, "utf-8")
    with HashWorkspace(load_settings(tmp_path)) as workspace:
        build(workspace, "v2")
    return tmp_path


def run_and_kill(folder: Path, seed: int, after: float) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.kill_writer", str(folder), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n", worker.communicate()[1]
    killer = threading.Timer(after, worker.kill)
    killer.start()
    _, errors = worker.communicate()
    killer.join()
    assert worker.returncode == -9, errors


def lines(folder: Path) -> Iterator[tuple[str, list[Any]]]:
    """What was logged, without a last line that the kill has cut."""
    for line in (folder / "writes.log").read_text("utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield tuple(json.loads(line))


def expected(folder: Path) -> dict[str, list[Any]]:
    """id -> the payloads that it may have: the acknowledged one, or what was under way after."""
    allowed: dict[str, list[Any]] = {
        f"d{n}": [{"_id": f"d{n}", "title": "", "text": text}] for n, text in enumerate(TEXTS)
    }
    for step, rows in lines(folder):
        for id, payload in rows:
            if step == "done":
                allowed[id] = [payload]
            else:
                allowed[id] = [*allowed.get(id, [None]), payload]
    return allowed


def contents(workspace: HashWorkspace, collection: str) -> dict[Any, Any]:
    encoder = encoder_of(collection.rpartition("--")[2])
    found = {}
    for page in workspace.store.scroll(collection, with_payload=True, with_vector=True):
        for point in page:
            assert point.vector is not None
            vector = encoder.encode_documents([point.payload["text"]])[0]
            assert float(point.vector @ vector) > 0.999
            found[point.id] = point.payload
    return found


def check(folder: Path) -> dict[Any, Any]:
    """The oracle's questions, after what was left has been finished."""
    with HashWorkspace(load_settings(folder)) as workspace:
        Indexer(workspace)
        replay(workspace)
        status(workspace)
        assert workspace.journal.backlog() == []
        live = workspace.live_collection()
        assert live in (V1, V2)
        found = contents(workspace, live)
        assert found == contents(workspace, V2 if live == V1 else V1)
        for id, payloads in expected(folder).items():
            assert found.get(point_id(id)) in payloads, id
        return found


@pytest.mark.parametrize("rounds", [6, pytest.param(60, marks=pytest.mark.slow)])
def test_killed_at_random_no_acknowledged_write_is_lost(folder: Path, rounds: int) -> None:
    dice = random.Random(rounds)
    for seed in range(1, rounds + 1):
        run_and_kill(folder, seed, dice.uniform(0.1, 2.0))
        found = check(folder)
        # from here on what was under way is what is there
        rows = [[id, found.get(point_id(id))] for id in expected(folder)]
        (folder / "writes.log").write_text(json.dumps(["done", rows]) + "\n", "utf-8")
    with HashWorkspace(load_settings(folder)) as workspace:
        assert workspace.registry.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
