"""Projects with small real artifacts, an object storage server, and ways to spoil an artifact."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reindex.artifact import load_manifest
from reindex.config import load_settings
from reindex.config.template import render_config
from reindex.project import Project
from reindex.registry import REGISTRY_NAME, Registry
from tests.small_artifact import small_artifact

KEY, SECRET = "AKIAPLANTEDACCESSKEY", "planted-secret-of-the-object-store"


def project_with(folder: Path, versions: int = 1, **values: dict[str, Any]) -> Project:
    """A project with exported versions whose artifacts are small and real; v1 has seed 1."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "reindex.toml").write_text(
        render_config({"source": {"path": Path("data")}, **values}), "utf-8"
    )
    settings = load_settings(folder)
    registry = Registry(settings.home / REGISTRY_NAME, create=True)
    for _ in range(versions):
        made = registry.add_version(base="small", kind="base", recipe={})
        artifact = small_artifact(settings.home / "artifacts" / made.name, seed=made.number)
        manifest = load_manifest(artifact)
        registry.update_version(
            made.name, state="exported", artifact=f"artifacts/{made.name}", space=manifest.space,
            encoding=manifest.encoding("int8"), dim=manifest.dim,
            report={"prefix_dim": manifest.prefix_dim, "recall_by_dim": {"32": 0.9}},
        )  # fmt: skip
    registry.close()
    return Project(settings)


@contextmanager
def object_storage() -> Iterator[dict[str, str]]:
    """An S3-compatible server (moto's) as a process; gives the environment that leads to it."""
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env={**os.environ, "AWS_ACCESS_KEY_ID": "server", "AWS_SECRET_ACCESS_KEY": "server"},
    )  # fmt: skip
    assert server.stderr is not None
    try:
        found = next(filter(None, (re.search(r"http://\S+", line) for line in server.stderr)))
        yield {
            "AWS_ENDPOINT_URL": found[0], "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
    finally:
        server.kill()
        server.communicate()


def rename_in_manifest(folder: Path, **changes: Any) -> None:
    """Overwrite keys of the manifest, as whoever can write the place can."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


def add_listed(folder: Path, name: str, content: bytes, *, listed_as: str | None = None) -> None:
    """Put a file into an artifact, with its right checksum in the manifest."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    files = json.loads((folder / "manifest.json").read_text("utf-8"))["files"]
    checksum = hashlib.sha256(content).hexdigest()
    rename_in_manifest(folder, files={**files, listed_as or name: checksum})
