"""The distributions as the hub expects them: each a part of LlamaIndex's namespace, and no more."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

PLUGINS = Path(__file__).parents[2]
KINDS = {
    "llama-index-embeddings-reindex": "llama_index/embeddings",
    "llama-index-retrievers-reindex": "llama_index/retrievers",
    "llama-index-vector-stores-reindex": "llama_index/vector_stores",
}


@pytest.mark.parametrize("name", KINDS)
def test_what_the_hub_reads(name: str) -> None:
    described = tomllib.loads((PLUGINS / name / "pyproject.toml").read_text("utf-8"))
    hub, folder = described["tool"]["llamahub"], f"{KINDS[name]}/reindex"
    assert described["project"]["name"] == name
    assert hub["import_path"] == folder.replace("/", ".")
    assert hub["contains_example"] == any((PLUGINS / name / "examples").iterdir())
    module = sys.modules.get(hub["import_path"]) or __import__(hub["import_path"], fromlist=["_"])
    assert hub["class_authors"].keys() <= set(module.__all__)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_wheel_holds_its_part_of_the_namespace_alone(name: str, tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="builds a wheel without a network")
    copy = tmp_path / name
    left_out = shutil.ignore_patterns("*.egg-info", "__pycache__", "build")
    shutil.copytree(PLUGINS / name, copy, ignore=left_out)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path, copy], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {item for item in archive.namelist() if ".dist-info/" not in item}
    folder = PLUGINS / name / KINDS[name] / "reindex"
    files = {file.name for file in folder.iterdir() if file.is_file()}
    assert {"__init__.py", "py.typed"} <= files
    assert held == {f"{KINDS[name]}/reindex/{file}" for file in files}
