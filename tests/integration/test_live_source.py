"""A version built from the live collection: nothing but the collection holds the documents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.config import load_settings
from reindex.errors import ConfigError
from reindex.records import PointId
from reindex.stages.building import build
from reindex.stages.promoting import promote
from tests.hash_project import HashWorkspace, hash_project, write_documents

TEXTS = [f"the text of document number {number}" for number in range(120)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    """v1 is live; its documents came from files that are gone."""
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    (tmp_path / "data" / "corpus.jsonl").unlink()
    file = tmp_path / "reindex.toml"
    text = file.read_text("utf-8").replace('# kind = "beir"', 'kind = "collection"')
    file.write_text(text, "utf-8")
    with HashWorkspace(load_settings(tmp_path)) as workspace:
        yield workspace


def contents(workspace: HashWorkspace, collection: str) -> dict[PointId, Any]:
    pages = workspace.store.scroll(collection, with_payload=True)
    return {point.id: point.payload for page in pages for point in page}


def test_a_candidate_is_built_from_what_is_live(project: HashWorkspace) -> None:
    report = build(project, "v2")
    assert (report.inserted, report.complete) == (len(TEXTS), True)
    assert contents(project, "docs--v2") == contents(project, "docs--v1")
    again = build(project, "v2")
    assert (again.unchanged, again.embedded, again.inserted) == (len(TEXTS), 0, 0)
    built = project.registry.collection("docs--v2")
    assert built is not None
    assert built.coverage == 1.0
    promote(project, "v2", force=True, reason="test")
    assert project.retriever().search(TEXTS[7])[0].id == "d7"


def test_edits_and_deletes_by_a_plain_client_come_along(project: HashWorkspace) -> None:
    build(project, "v2")
    live = project.store
    ids = sorted(contents(project, "docs--v1"), key=str)
    stamps = {id: point.stamp for id, point in live.retrieve("docs--v1", ids).items()}
    live.delete("docs--v1", {ids[0]: stamps[ids[0]]})
    report = build(project, "v2")
    assert (report.deleted, report.complete) == (1, True)
    assert contents(project, "docs--v2") == contents(project, "docs--v1")


def test_building_what_is_live_from_itself_changes_nothing(project: HashWorkspace) -> None:
    before = contents(project, "docs--v1")
    report = build(project, "v1")
    assert (report.embedded, report.deleted, report.complete) == (0, 0, True)
    assert contents(project, "docs--v1") == before
    assert build(project, "v1").unchanged == len(TEXTS)


def test_nothing_live_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with (
        hash_project(tmp_path, source={"kind": "collection"}) as workspace,
        pytest.raises(ConfigError, match=r"points at nothing yet.*adopt"),
    ):
        build(workspace, "v1")
