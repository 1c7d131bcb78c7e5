"""The example, as its reader runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.haystack_project import live_haystack_project
from tests.http_fixtures import listening

from reindex.registry.api_keys import ApiKeys
from reindex.server.app import make_app

EXAMPLE = Path(__file__).parents[1] / "examples" / "haystack_pipeline.py"


def test_the_example_runs(tmp_path: Path) -> None:
    with live_haystack_project(tmp_path / "project", versions=1) as project:
        key = ApiKeys(project.registry).add("indexer", ["write"], "nobody@nowhere")
        with listening(make_app(project)) as url:
            done = subprocess.run(
                [sys.executable, str(EXAMPLE), url], check=False, text=True, capture_output=True,
                timeout=120,
                env={**os.environ, "REINDEX_API_KEY": key, "HAYSTACK_TELEMETRY_ENABLED": "False"},
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert project.store.count("docs--v1") == 30
    first, second, *_ = done.stdout.splitlines()
    assert first == "1.000  v1  A lease keeps an encoder with its collection."
    assert second == "A lease keeps an encoder with its collection."
