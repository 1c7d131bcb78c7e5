"""A model Hub that is away, refuses, or was asked before: one clear answer, and no waiting."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reindex.errors import ModelError
from reindex.training.base import load_base
from reindex.training.cross_encoder import PairScorer
from reindex.training.hub import without_hub
from reindex.training.teacher import load_teacher
from tests.model_fixtures import make_tiny_checkpoint

pytestmark = pytest.mark.train
REVISION = "0123456789abcdef0123456789abcdef01234567"
NOBODY = "http://127.0.0.1:9"


class Hub:
    """Serves the files of a folder as ``some/tiny``, as far as the client asks for them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.asked.append(self.path)
                _, _, name = self.path.partition("/resolve/main/")
                _, _, fixed = self.path.partition(f"/resolve/{REVISION}/")
                file = folder / (name or fixed or "nothing")
                ours = self.path.startswith("/some/tiny/resolve/")
                body = file.read_bytes() if ours and file.is_file() else hub.api(self.path)
                self.send_response(200 if body else 404)
                if not body:
                    self.send_header(
                        "X-Error-Code",
                        "EntryNotFound" if "/some/tiny" in self.path else "RepoNotFound",
                    )
                self.send_header("X-Repo-Commit", REVISION)
                self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_GET = do_HEAD

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def api(self, path: str) -> bytes:
        """What the Hub says of its model, and which files it has."""
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        names = [str(file.relative_to(self.folder)) for file in files]
        answers: dict[str, Any] = {
            "/api/models/some/tiny": {
                "id": "some/tiny", "sha": REVISION, "siblings": [{"rfilename": n} for n in names],
            },
            "/api/models/some/tiny/tree/main": [
                {"type": "file", "path": n, "size": 1, "oid": REVISION} for n in names
            ],
        }  # fmt: skip
        found = answers.get(path.partition("?")[0].replace("/revision/main", ""))
        return b"" if found is None else json.dumps(found).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The Hub's address is one where nobody listens; what was fetched before is in the folder."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", NOBODY)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "load", [lambda name: load_base(name, max_length=None), load_teacher, PairScorer]
)
def test_a_hub_that_is_away_is_told_at_once(
    away: Path, caplog: pytest.LogCaptureFixture, load: Any
) -> None:
    del away
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(ModelError, match=r"127\.0\.0\.1:9 cannot be reached \(Connection refused\)"),
    ):
        load("nobody/no-such-model")
    assert not [record for record in caplog.records if "etrying" in record.getMessage()]


def test_what_was_fetched_before_needs_no_hub(away: Path) -> None:
    kept = away / "models--some--model"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")
    (kept / "snapshots" / "abc").mkdir(parents=True)
    (kept / "snapshots" / "abc" / "config.json").write_text("{}")
    assert without_hub("some/model")
    assert without_hub(str(kept))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub that has ``some/tiny`` and knows no other model."""
    made = Hub(make_tiny_checkpoint(tmp_path / "checkpoint"))
    yield made
    made.close()


@pytest.mark.slow
def test_a_model_is_fetched_from_the_hub_and_then_needs_none(hub: Hub, tmp_path: Path) -> None:
    """In a process of its own, which reads the Hub's address from its environment."""
    code = """
import json, sys
import huggingface_hub.constants
from reindex.off_the_shelf import ModelSpec, load_model

def space(place):
    return load_model(ModelSpec("m"), place, max_length=None, threads=1).encoder.space

found = [space("some/tiny"), space(sys.argv[1])]
huggingface_hub.constants.ENDPOINT = sys.argv[2]
print(json.dumps([*found, space("some/tiny")]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(hub.folder), NOBODY],
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "cache")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stderr, hub.asked)
    fetched, local, again = json.loads(done.stdout)
    assert fetched == local == again  # a hash of the weights, among others
    assert any(path.endswith("model.safetensors") for path in hub.asked)


def test_a_hub_that_knows_no_such_model_is_there(
    hub: Hub, away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del away
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    assert not without_hub("nobody/no-such-model")
    assert hub.asked == ["/nobody/no-such-model/resolve/main/config.json"]
