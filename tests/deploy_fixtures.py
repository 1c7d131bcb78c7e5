"""What `deploy/` holds, read as whoever runs it would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
UID = 10001
"""Of the image's user."""


def load_yaml(file: Path) -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(file.read_text("utf-8"))


def rendered(overlay: str) -> list[dict[str, Any]]:
    """The manifests of an overlay, as `kubectl apply -k` would send them."""
    yaml = pytest.importorskip("yaml")
    if shutil.which("kubectl") is None:
        pytest.skip("renders with kubectl kustomize")
    folder = DEPLOY / "kubernetes" / overlay
    done = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def environment_names() -> set[str]:
    """Every environment variable that the code reads: named by a key's default, or directly."""
    from reindex.config import Settings
    from reindex.config.template import tables

    named = {
        str(info.default)
        for table in tables(Settings).values()
        for name, info in table.model_fields.items()
        if name.endswith("_env")
    }
    return named | {"REINDEX_CONFIG"}


def mounted(path: str, mounts: list[str]) -> bool:
    """Whether ``path`` lies in one of ``mounts``."""
    return any(path == mount or path.startswith(f"{mount.rstrip('/')}/") for mount in mounts)


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, argument) of the image's Dockerfile, continued lines joined."""
    text = (DEPLOY / "container" / "Dockerfile").read_text("utf-8")
    text = re.sub(r"(?m)^#.*\n", "", text)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]
