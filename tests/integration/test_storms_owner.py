"""Write storms through the owner of an embedded store, from processes that cannot open it."""

from __future__ import annotations

from pathlib import Path

from reindex.config import load_settings
from reindex.stages.building import build
from reindex.stages.promoting import promote
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.owner_fixtures import OwnerProcess, run
from tests.storm import Oracle, Storm, Writer, base_of

TEXTS = [f"the text of document number {number}" for number in range(60)]
FORCED = ("--force", "--reason", "test")
ENOUGH = 30


def test_single_writes_through_the_owner_while_versions_change(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        oracle = Oracle(base_of(workspace, "v1"))
    with (
        OwnerProcess(tmp_path) as owner,
        Storm([Writer("indexer", tmp_path, seed, 0.02) for seed in (1, 2)]) as storm,
    ):
        run(tmp_path, "build", "v2")
        while storm.acknowledged < ENOUGH:
            run(tmp_path, "promote", "v2", *FORCED)
            run(tmp_path, "rollback")
        storm.end()
        owner.end()
    oracle.heard(storm.logs)
    with HashWorkspace(load_settings(tmp_path)) as workspace:
        oracle.check(workspace, "v1")
        build(workspace, "v2")
        oracle.check(workspace, "v2")


def test_an_owner_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """The writers wait for the next one; what was journaled and not delivered is delivered."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
        build(workspace, "v2")
        oracle = Oracle(base_of(workspace, "v1"))
    with OwnerProcess(tmp_path) as first:
        storm = Storm([Writer("indexer", tmp_path, seed, 0.02) for seed in (1, 2)])
        with storm:
            while storm.acknowledged < ENOUGH:
                run(tmp_path, "status")
            first.process.kill()
            first.process.wait()
            with OwnerProcess(tmp_path) as second:
                before = storm.acknowledged
                while storm.acknowledged < before + ENOUGH:
                    run(tmp_path, "status")
                storm.end()
                second.end()
    oracle.heard(storm.logs)
    with HashWorkspace(load_settings(tmp_path)) as workspace:
        for version in ("v1", "v2"):
            build(workspace, version)
            oracle.check(workspace, version)
