"""A large embedded collection gets its search graph at the end of the build, before it is live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reindex.errors import StoreError
from reindex.stages.building import build
from reindex.stores.edge import EdgeStore
from tests.hash_project import HashWorkspace, hash_project, write_documents

DOCUMENTS = 300


@pytest.fixture
def project(tmp_path: Path) -> HashWorkspace:
    write_documents(tmp_path, [f"document number {i}" for i in range(DOCUMENTS)])
    return hash_project(tmp_path, build={"graph_from": DOCUMENTS})


def graph_of(project: HashWorkspace, version: str) -> Any:
    """What the version's last build wrote down about the graph."""
    newest = max(
        (run for run in project.registry.runs() if (run.kind, run.version) == ("build", version)),
        key=lambda run: run.id,
    )
    return newest.details.get("graph")


def test_a_large_collection_ends_with_its_graph(project: HashWorkspace) -> None:
    build(project, "v1")
    assert graph_of(project, "v1") == "built"
    project.promote("v1")
    [hit] = project.retriever().search("document number 7", k=1).hits
    assert hit.id == "d7"


def test_a_build_that_wrote_nothing_builds_no_graph_again(project: HashWorkspace) -> None:
    build(project, "v1")
    build(project, "v1")
    assert graph_of(project, "v1") is None


def test_the_live_collection_is_left_alone(project: HashWorkspace, tmp_path: Path) -> None:
    build(project, "v1")
    project.promote("v1")
    write_documents(tmp_path, [f"document number {i}" for i in range(DOCUMENTS + 5)])
    build(project, "v1")
    assert graph_of(project, "v1") is None


def test_a_small_collection_gets_none(tmp_path: Path) -> None:
    write_documents(tmp_path, ["one", "two"])
    project = hash_project(tmp_path)
    build(project, "v1")
    assert graph_of(project, "v1") is None


def test_a_graph_that_fails_is_told_and_fails_nothing(
    project: HashWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> bool:
        raise StoreError("no room for the graph")

    monkeypatch.setattr(EdgeStore, "optimize", refuse)
    assert build(project, "v1").complete
    assert "no room" in graph_of(project, "v1")
