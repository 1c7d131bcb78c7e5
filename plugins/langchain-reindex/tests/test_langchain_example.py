"""The example runs, as its users run it, and goes on after a flip."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.plugin_project import Plugged, plugged

EXAMPLE = Path(__file__).parents[1] / "examples" / "langchain_rag.py"


def run(served: Plugged) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), served.url, "numpy.ravel flattens an array"],
        env={**os.environ, "REINDEX_API_KEY": served.key}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example(tmp_path: Path) -> None:
    with plugged(tmp_path, "langchain") as served:
        first = run(served)
        assert "[v1 1.000] numpy.ravel flattens an array" in first
        assert first.rstrip().endswith("Question: numpy.ravel flattens an array")
        served.flip("v2")
        assert "[v2 1.000] numpy.ravel flattens an array" in run(served)
