"""The shortest build on Ray: a cluster of this machine alone, started for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reindex.stages.building import build
from reindex.stages.engines import Engine
from tests.hash_project import hash_project, write_documents

ray = pytest.importorskip("ray", reason="the [distributed] extra")


@pytest.mark.filterwarnings("ignore")
def test_a_build_starts_and_ends_its_own_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # for the workers
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    write_documents(tmp_path, [f"text {number}" for number in range(50)])
    with hash_project(tmp_path, distributed={"cpus": 1, "workers": 1}) as workspace:
        report = build(workspace, "v1", engine=Engine("ray"))
        assert (report.inserted, report.complete) == (50, True)
    assert not ray.is_initialized()
