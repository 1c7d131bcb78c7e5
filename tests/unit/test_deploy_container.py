"""The container image: what its Dockerfile says, and what it would install."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable

import pytest

from tests.deploy_fixtures import DEPLOY, ROOT, UID, dockerfile

packaging = pytest.importorskip("packaging.requirements")
HEAVY = {
    "torch", "transformers", "sentence-transformers", "optimum", "optimum-onnx", "datasets",
    "accelerate", "peft", "onnx", "scikit-learn", "ray",
}  # fmt: skip
"""Training's and bulk work's: none of it is for a host that serves."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(needs: Iterable[str]) -> set[str]:
    """Every distribution that installing ``needs`` brings, by the installed ones' metadata."""
    waiting = [(packaging.Requirement(need), frozenset[str]()) for need in needs]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        need, extras = waiting.pop()
        if need.marker and not any(need.marker.evaluate({"extra": one}) for one in extras or {""}):
            continue
        wanted = frozenset(need.extras)
        if (key := (canonical(need.name), wanted)) not in seen:
            seen.add(key)
            further = importlib.metadata.distribution(need.name).requires or ()
            waiting.extend((packaging.Requirement(line), wanted) for line in further)
    return {name for name, _ in seen}


def test_the_core_brings_nothing_of_trainings() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    try:
        brought = closure([*project["dependencies"], *project["optional-dependencies"]["serve"]])
    except importlib.metadata.PackageNotFoundError as missing:
        pytest.skip(f"{missing} is not installed here, so what it brings cannot be told")
    assert {"fastapi", "uvicorn", "onnxruntime", "tokenizers"} <= brought  # it does look
    assert not brought & HEAVY


def test_what_is_taken_out_of_the_image_is_not_needed() -> None:
    """The server and the metrics work without scipy, which a dependency's metadata ask for."""
    (removal,) = re.findall(r"pip uninstall --yes ([a-z ]+)", str(dockerfile()))
    out = removal.split()
    assert out == ["scipy", "setuptools", "pip"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({out!r}));"
        "import reindex.server.app, reindex.cli, reindex.stages.comparing, reindex.stages.building;"
        "from reindex.evaluation.metrics import _calculate, Measure;"
        "names = ('recall', 'precision', 'ndcg', 'mrr', 'map');"
        "found = _calculate([Measure(name, 10) for name in names], {'q': {'d': 1}},"
        " {'q': {'d': 1.0, 'e': 0.5}});"
        "import json; print(json.dumps({m.metric: s['q'] for m, s in found.items()}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recall"] == 1


def test_nobody_is_root_and_the_last_stage_has_no_compiler_and_no_pip() -> None:
    lines = dockerfile()
    bases = [number for number, (word, _) in enumerate(lines) if word == "FROM"]
    last = lines[bases[-1] :]
    assert ("USER", f"{UID}:{UID}") in last
    assert not [rest for word, rest in last if word == "RUN" and ("pip" in rest or "apt" in rest)]
    assert [rest for word, rest in last if word == "ENTRYPOINT"] == ['["reindex"]']
    defaults = dict(rest.split("=", 1) for word, rest in lines if word == "ARG" and "=" in rest)
    assert defaults["EXTRAS"] == "serve"
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", defaults["BASE"])  # a release, no `latest`


def test_what_is_copied_in_is_there_and_is_not_ignored() -> None:
    allowed = {
        line.removeprefix("!")
        for line in (DEPLOY / "container" / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        part
        for word, rest in dockerfile()
        if word == "COPY" and "--from" not in rest
        for part in rest.split()[:-1]
    }
    assert copied == allowed
    assert [part for part in copied if not (ROOT / part).exists()] == []


def test_its_version_is_the_packages() -> None:
    version = importlib.metadata.version("reindex")
    for file in DEPLOY.rglob("*"):
        if file.suffix in (".yaml", ".yml") or file.name == "Dockerfile":
            text = file.read_text("utf-8")
            tags = re.findall(r"(?:reindex:|newTag: )(\d+\.\d+\.\d+)", text)
            assert set(tags) <= {version}, file
