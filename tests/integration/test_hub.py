"""A model Hub that is away, refuses, or was asked before: one clear answer, and no waiting."""

from __future__ import annotations

import logging
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

pytestmark = pytest.mark.train
NOBODY = "http://127.0.0.1:9"


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
def refusing(monkeypatch: pytest.MonkeyPatch, away: Path) -> Iterator[list[str]]:
    """A Hub that knows no model; the paths that it was asked for."""
    del away
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(
        "huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}"
    )
    yield asked
    server.shutdown()
    server.server_close()


def test_a_hub_that_refuses_is_there(refusing: list[str]) -> None:
    assert not without_hub("nobody/no-such-model")
    assert refusing == ["/nobody/no-such-model/resolve/main/config.json"]
