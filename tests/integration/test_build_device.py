"""A collection whose documents another device embeds than the searches' encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reindex.config import EmbedSettings, load_settings
from reindex.errors import ArtifactError, BuildError, ConfigError
from reindex.registry.ledger import Version
from reindex.stages.building import build
from reindex.stages.engines import Engine
from tests.hash_encoder import HashEncoder
from tests.hash_project import DIM, HashWorkspace, hash_project, write_documents

TEXTS = [f"text {i}" for i in range(50)]


class CardWorkspace(HashWorkspace):
    """Documents are embedded by what stands for a card: the same space, another encoding."""

    def document_encoder(self, version: Version, encoder: Any) -> Any:
        return HashEncoder(DIM, seed=int(version.name.removeprefix("v")), encoding="card")


def test_a_collection_names_the_encoding_of_its_documents(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    hash_project(tmp_path).close()
    with CardWorkspace.open(tmp_path) as project:
        assert build(project, "v1").embedded == 50
        name = project.settings.collection("v1")
        assert project.store.info(name).metadata["encoding"] == "card"
        built = project.registry.collection(name)
        assert built is not None
        assert built.encoding == "card"
        assert build(project, "v1").unchanged == 50
    with HashWorkspace.open(tmp_path) as project, pytest.raises(BuildError, match=r"embed\.device"):
        build(project, "v1")


def test_cuda_needs_the_checkpoint(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, embed={"device": "cuda"}) as project:
        with pytest.raises(ArtifactError, match="has no checkpoint here"):
            build(project, "v1")
        assert project.store.collections() == []


def test_devices_are_checked_when_the_file_is_read(tmp_path: Path) -> None:
    for device in ("cuda", "cuda:0", "cuda:0,cuda:3", "cpu"):
        assert EmbedSettings(device=device).device == device
    (tmp_path / "reindex.toml").write_text('[embed]\ndevice = "gpu"\n')
    with pytest.raises(ConfigError, match=r"embed\.device"):
        load_settings(tmp_path)


def test_workers_of_a_cluster_embed_on_cpus(tmp_path: Path) -> None:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, embed={"device": "cuda"}) as project:
        with pytest.raises(ConfigError, match="workers of --engine ray embed on CPUs"):
            build(project, "v1", engine=Engine("ray"))
        assert project.store.collections() == []
