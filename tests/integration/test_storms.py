"""Write storms from other processes while versions are built, promoted and rolled back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from reindex.config import load_settings
from reindex.stages.building import build
from reindex.stages.promoting import promote, rollback
from tests.hash_project import HashWorkspace
from tests.qdrant_server import QdrantProcess
from tests.server_project import TEXTS, server_project
from tests.storm import Oracle, Storm, Writer, base_of

PACE = 0.02
ENOUGH = 30
"""Acknowledged writes that a storm must at least have had, however slow the machine is."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QdrantProcess]:
    with QdrantProcess(tmp_path) as process:
        yield process


@pytest.fixture
def project(
    request: pytest.FixtureRequest, tmp_path: Path, server: QdrantProcess
) -> Iterator[HashWorkspace]:
    """v1 is live on a server; what its documents came from stays, or is gone."""
    folder = tmp_path / "project"
    with server_project(folder, server.url, TEXTS[:60], timeout=2) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    if request.param == "collection":
        (folder / "data" / "corpus.jsonl").unlink()
        file = folder / "reindex.toml"
        text = file.read_text("utf-8")
        file.write_text(text.replace('# kind = "beir"', 'kind = "collection"'), "utf-8")
    with HashWorkspace(load_settings(folder)) as workspace:
        yield workspace


def sources(quick: str, *, slow: str) -> pytest.MarkDecorator:
    """What the project is built from: in the default suite, and also."""
    kinds = [quick, pytest.param(slow, marks=pytest.mark.slow)]
    return pytest.mark.parametrize("project", kinds, indirect=True)


def indexers(project: HashWorkspace, *seeds: int) -> list[Writer]:
    return [Writer("indexer", project.settings.root, seed, PACE) for seed in seeds]


def foreign(project: HashWorkspace, url: str, version: str, seed: int) -> Writer:
    name = project.settings.collection(version)
    return Writer("foreign", project.settings.root, seed, PACE, url, name, version)


@sources("files", slow="collection")
def test_single_writes_through_build_flip_and_rollback(project: HashWorkspace) -> None:
    oracle = Oracle(base_of(project, "v1"))
    with Storm(indexers(project, 1, 2)) as storm:
        while storm.acknowledged < ENOUGH:
            build(project, "v2")
            promote(project, "v2", force=True, reason="test")
            assert rollback(project).to_collection == project.live_collection()
        promote(project, "v2", force=True, reason="test")
    oracle.heard(storm.logs)
    oracle.check(project, "v2")
    assert rollback(project).version == "v1"
    oracle.check(project, "v1")


@pytest.mark.slow
@sources("collection", slow="files")
def test_foreign_writes_through_cut_over_and_rollback(
    project: HashWorkspace, server: QdrantProcess
) -> None:
    base = base_of(project, "v1")
    with Storm(indexers(project, 1)) as own:
        with Storm([foreign(project, server.url, "v1", 8)]) as before:
            while before.acknowledged < ENOUGH:
                build(project, "v2")
            done = promote(project, "v2", force=True, reason="test").promotion
        assert done is not None
        there = Oracle(base)
        there.heard(before.logs, before=moment(done.finished_at))
        there.check_written(project, "v2")
        with Storm([foreign(project, server.url, "v2", 9)]) as after:
            while after.acknowledged < ENOUGH:
                build(project, "v1")
            back = rollback(project)
    oracle = Oracle(base)
    oracle.heard(own.logs)
    oracle.heard(before.logs, before=moment(done.finished_at))
    oracle.heard(after.logs, before=moment(back.finished_at))
    oracle.check(project, "v1")


def moment(stamp: str | None) -> float:
    assert stamp is not None
    return datetime.fromisoformat(stamp).timestamp()
