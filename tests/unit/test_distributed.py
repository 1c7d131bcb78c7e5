"""What the Ray engine says before there is a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from reindex.cli import main
from reindex.errors import MissingExtra
from reindex.stages.building import build
from reindex.stages.engines import Engine
from tests.hash_project import hash_project, write_documents


def test_without_ray_the_extra_is_named_and_nothing_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_documents(tmp_path, ["one", "two"])
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        with pytest.raises(MissingExtra, match=r"ray\[data\].*reindex\[distributed\]"):
            build(workspace, "v1", engine=Engine("ray"))
        built = workspace.registry.collection("docs--v1")
        assert built is not None
        assert built.complete


def test_an_address_needs_the_engine(tmp_path: Path) -> None:
    hash_project(tmp_path).close()
    result = CliRunner().invoke(main, ["-c", str(tmp_path), "build", "v1", "--address", "a:1"])
    assert result.exit_code == 2
    assert "--engine ray" in result.output
