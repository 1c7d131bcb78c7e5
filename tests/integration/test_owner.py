"""The owner of an embedded project, and commands of other terminals that run inside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reindex.stages.building import build
from reindex.stages.promoting import promote
from tests.copying import copy_project
from tests.hash_project import hash_project, write_documents
from tests.owner_fixtures import OwnerProcess, recorded, run, run_json

TEXTS = [f"the text of document number {number}" for number in range(200)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v1 is live, v2 is not built yet; closed, so that it can be copied."""
    folder = tmp_path_factory.mktemp("template")
    write_documents(folder, TEXTS)
    with hash_project(folder) as workspace:
        build(workspace, "v1")
        promote(workspace, "v1")
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return copy_project(template, tmp_path / "project")


def test_commands_of_another_terminal_run_inside_the_owner(folder: Path) -> None:
    with OwnerProcess(folder) as owner:
        shown = run_json(folder, "jobs")
        assert (shown["owner"]["pid"], shown["jobs"]) == (owner.pid, [])
        assert "token" not in shown["owner"]
        found = run_json(folder, "search", TEXTS[7], "-k", "3")
        assert (found["version"], found["hits"][0]["id"]) == ("v1", "d7")
        report = run_json(folder, "build", "v2")
        assert (report["documents"], report["inserted"]) == (200, 200)
        run(folder, "promote", "v2", "--force", "--reason", "test")
        assert run_json(folder, "search", TEXTS[7])["version"] == "v2"
        assert run_json(folder, "rollback", "--reason", "x")["to_collection"] == "docs--v1"
        assert run_json(folder, "gc")["removed"] == []
        assert run_json(folder, "status")["differences"] == []
        log = owner.end()
    for line in ("(build v2): done", "(rollback x): done", "(gc): done"):
        assert line in log
    assert recorded(folder) is None
    assert run_json(folder, "build", "v2")["unchanged"] == 200, "without an owner it runs here"
