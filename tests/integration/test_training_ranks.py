"""Training by two processes, as `accelerate launch` starts them on GPUs: through torchrun.

(On CPUs accelerate itself wants MPI for several processes.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import reindex
from tests.loop_fixtures import LEARNABLE, run, run_json, write_beir
from tests.training_fixtures import tiny_base  # noqa: F401

pytestmark = [pytest.mark.train, pytest.mark.slow]


def launch(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [sys.executable, *launcher, "-m", "reindex", "-c", str(project), *arguments]
    threads = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, **threads},
    )  # fmt: skip


def test_two_processes_make_one_version(tmp_path: Path, tiny_base: str) -> None:  # noqa: F811
    write_beir(tmp_path / "data")
    text = LEARNABLE.format(base=tiny_base).replace("epochs = 12", "epochs = 4")
    (tmp_path / "reindex.toml").write_text(text, "utf-8")
    run(tmp_path, "init")
    done = launch(tmp_path, "train", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["version"]["name"] == "v1"
    with reindex.open(tmp_path) as project:
        [version] = project.registry.versions()
        assert (version.state, version.kind) == ("trained", "fine-tuned")
        [record] = project.registry.runs()
        # 240 pairs in batches of 16 are 15; 7 for each process, 4 epochs
        assert (record.state, record.details["steps"]) == ("done", 28)
    assert version.metrics["after"]["ndcg@10"] > version.metrics["before"]["ndcg@10"]
    assert not list((tmp_path / ".reindex" / "runs" / "v1").glob("checkpoint-*"))
    assert run_json(tmp_path, "export", "v1")["state"] == "exported"
    again = launch(tmp_path, "train", "--json")
    assert json.loads(again.stdout)["version"]["name"] == "v1"
    refused = launch(tmp_path, "run")
    assert refused.returncode != 0
    assert "expected one process, got 2" in refused.stderr
