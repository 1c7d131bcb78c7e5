"""A push to the Hugging Face Hub and back: huggingface_hub's own client, and a stand-in.

The Hub itself cannot be asked here; what it would say to large files (LFS) was not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reindex.errors import ArtifactError
from reindex.project import Project
from tests.hub_server import Hub, hub
from tests.transport_fixtures import project_with

TOKEN = "hf_planted_token"


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as (address, server):
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_with(tmp_path / "here", 2) as made:
        yield made


def test_there_and_back_by_revision(there: Hub, project: Project, tmp_path: Path) -> None:
    first = project.push("v1", "hf://org/name")
    second = project.push("v2", "hf://org/name@v2")
    with project_with(tmp_path / "other", 0) as other:
        assert other.pull("hf://org/name").digest == first.digest
        pulled = other.pull("hf://org/name@v2")
        assert (pulled.digest, pulled.origin) == (second.digest, "hf://org/name@v2")
        assert other.encoder(pulled.version).space == project.registry.version("v2").space
    assert there.tokens == {f"Bearer {TOKEN}"}
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or TOKEN.encode() not in file.read_bytes()


def test_one_push_is_one_commit_and_takes_what_was_there_along(
    there: Hub, project: Project
) -> None:
    project.push("v1", "hf://org/name")
    before = len(there.commits)
    project.push("v2", "hf://org/name", None)
    assert len(there.commits) == before + 1
    commit = there.commits[there.repos["org/name"]["main"]]
    assert project.pull("hf://org/name").version.name == "v2"
    assert b"v2" in commit["reindex.json"]


def test_pickles_of_a_repository_hold_a_push_back(there: Hub, project: Project) -> None:
    project.push("v1", "hf://org/name")
    tree = there.commits[there.repos["org/name"]["main"]]
    there.keep("org/name", "main", {**tree, "pytorch_model.bin": b"x"})
    with pytest.raises(ArtifactError, match="would unpickle"):
        project.push("v2", "hf://org/name")


def test_what_is_not_there(there: Hub, project: Project) -> None:
    project.push("v1", "hf://org/name")
    for address in ("hf://org/nobody", "hf://org/name@v9"):
        with pytest.raises(ArtifactError, match="no complete artifact"):
            project.pull(address)
