"""A table that an application changes all the time, through builds, flips, syncs and rollbacks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.registry.ledger import Promotion
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from reindex.stages.syncing import sync
from reindex.stages.upkeep import status
from tests.hash_project import HashWorkspace, hash_project
from tests.qdrant_server import QdrantProcess
from tests.sql_fixtures import NOTES, put_notes
from tests.storm import Oracle, Storm, Writer, base_of

PACE = 0.02
ENOUGH = 60
"""Acknowledged writes that the storm must at least have had, however slow the machine is."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    """v1 is live on a server, built from a table of 60 notes."""
    folder = tmp_path / "project"
    folder.mkdir()
    put_notes(folder, ((f"d{number}", f"note {number}", "a") for number in range(60)))
    given: dict[str, Any] = {
        "store": {"kind": "server"},
        "source": NOTES,
        "embed": {"batch_size": 8},
        "serving": {"lease_ttl": 0.2},
        "build": {"allow_deletes": 1.0},
    }
    with QdrantProcess(tmp_path) as server:
        qdrant = {"url": server.url, "prefer_grpc": False, "timeout": 2}
        with hash_project(folder, qdrant=qdrant, **given) as workspace:
            build(workspace, "v1")
            promote(workspace, "v1")
            yield workspace


def in_step(project: HashWorkspace, oracle: Oracle, storm: Storm) -> None:
    """Sync what serves and what served before: all that the table had before is in both, and in
    what serves the single writes as well (the other may still be owed some).
    """
    began = time.time()
    done = sync(project)
    assert [(item.role, item.error) for item in done] == [("live", None), ("previous", None)]
    for item, logs in zip(done, (storm.logs, storm.logs[:2]), strict=True):
        found, heard = base_of(project, item.version), Oracle(oracle.base)
        heard.heard(logs, before=began)
        assert heard.broken_promises(found) == []


def flipped(project: HashWorkspace) -> Promotion:
    build(project, "v2")
    done = promote(project, "v2", force=True, reason="test").promotion
    assert done is not None
    return done


@pytest.mark.slow
def test_a_changing_table_through_build_flip_sync_and_rollback(project: HashWorkspace) -> None:
    oracle, folder = Oracle(base_of(project, "v1")), project.settings.root
    writers = [
        Writer("table", folder, 4, PACE),
        Writer("table", folder, 5, PACE),
        Writer("indexer", folder, 1, PACE),
    ]
    rounds = 0
    with Storm(writers) as storm:
        while rounds < 2 or storm.acknowledged < ENOUGH:
            flipped(project)
            in_step(project, oracle, storm)
            assert rollback(project, now=bool(rounds % 2)).version == "v1"
            in_step(project, oracle, storm)
            rounds += 1
        flipped(project)
    assert [item.error for item in sync(project)] == [None] * 2
    oracle.heard(storm.logs)
    assert oracle.acknowledged >= ENOUGH
    for version in ("v1", "v2"):
        oracle.check(project, version)
    assert status(project).differences == ()
    again = sync(project)
    assert [item.changed for item in again] == [0, 0]
