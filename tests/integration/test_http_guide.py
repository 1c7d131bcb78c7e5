"""The lines in docs/plugins/http.md are run as they stand, against a real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.owner_fixtures import ROOT
from tests.plugin_project import Plugged, plugged

GUIDE = (ROOT / "docs" / "plugins" / "http.md").read_text("utf-8")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugged]:
    with plugged(tmp_path_factory.mktemp("guide"), texts=["flatten a nested list"]) as served:
        yield served


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def run(served: Plugged, *command: str) -> str:
    environment = {**os.environ, "REINDEX": served.url, "REINDEX_API_KEY": served.key}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_lines_for_curl(served: Plugged) -> None:
    _settings, search, write, rest = blocks("sh")
    assert '"version":"v1"' in run(served, "sh", "-ec", search)
    written = run(served, "sh", "-ec", write)
    assert '"id":"faq-7"' in written
    assert run(served, "sh", "-ec", write) == written  # the same write, known by its key
    assert '"id":"faq-7"' in run(served, "sh", "-ec", search)
    told = run(served, "sh", "-ec", rest)
    assert "numpy.ravel flattens" in told
    assert '"live_version": "v1"' in told
    assert '"id":"faq-7"' not in run(served, "sh", "-ec", search)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js here")
def test_the_lines_of_javascript(served: Plugged, tmp_path: Path) -> None:
    [script] = blocks("js")
    file = tmp_path / "ask.mjs"
    file.write_text(script, "utf-8")
    assert run(served, "node", str(file)).startswith("1.000 d0 flatten a nested list")
