"""`reindex serve` as a process: it owns the store, drains when it is told to end, and is found."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from reindex.config import load_settings
from reindex.config.server import ServerSettings
from reindex.server.hosts import KnownHost, allowed_names
from reindex.server.serving import exposed
from reindex.stages.building import build
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.http_fixtures import ServeProcess
from tests.owner_fixtures import run, run_json

TEXTS = [f"text number {n}" for n in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path) as project:
        for version in ("v1", "v2"):
            build(project, version)
        project.promote("v1")
    return tmp_path


def test_it_owns_the_store_and_other_terminals_decide(folder: Path) -> None:
    with ServeProcess(folder) as served:
        assert served.call("POST", "/v1/search", {"query": TEXTS[3]})[1]["version"] == "v1"
        rebound = {"Host": f"rebound.example:{served.port}"}
        assert served.call("GET", "/v1/status", headers=rebound)[0] == 421
        owner = run_json(folder, "jobs")["owner"]
        assert owner["pid"] == served.process.pid
        run(folder, "promote", "v2", "--force", "--reason", "a test")
        run(folder, "search", TEXTS[3])  # waits until the flip is noticed
        assert served.call("POST", "/v1/search", {"query": TEXTS[3]})[1]["version"] == "v2"
        run(folder, "rollback")
        _, told = run(folder, "serve", code=1)
        assert str(served.process.pid) in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_answered_before_the_end(folder: Path, number: int) -> None:
    with ServeProcess(folder) as served:
        key = run_json(folder, "keys", "add", "writer", "--scope", "write")["key"]
        headers = {"Authorization": f"Bearer {key}"}
        answers: list[int] = []

        def write(first: int) -> None:
            for n in range(first, first + 20):
                document = {"id": f"n{n}", "text": f"new text {n}"}
                try:
                    status, _ = served.call(
                        "POST", "/v1/documents", {"documents": [document]}, headers
                    )
                except OSError:
                    return
                answers.append(status)

        threads = [threading.Thread(target=write, args=(100 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        while len(answers) < 8:
            pass
        served.end(number)
        for thread in threads:
            thread.join()
        assert set(answers) <= {200, 503}
    with HashWorkspace(load_settings(folder)) as project:
        assert project.store.count("docs--v1") >= len(TEXTS) + answers.count(200)
    assert run_json(folder, "jobs")["owner"] is None


@pytest.mark.parametrize(
    ("host", "open_reading", "told"),
    [
        ("127.0.0.1", True, False), ("localhost", True, False), ("::1", True, False),
        ("0.0.0.0", True, True), ("10.0.0.7", True, True), ("::", True, True),
        ("0.0.0.0", False, False),
    ],
)  # fmt: skip
def test_reading_that_is_open_to_others_is_told(host: str, open_reading: bool, told: bool) -> None:
    settings = ServerSettings(host=host, open_reading=open_reading)
    assert ("server.open_reading" in exposed(settings)) == told


@pytest.mark.parametrize(
    ("host", "settings", "known"),
    [
        ("localhost:8080", {}, True), ("127.0.0.1:8080", {}, True), ("[::1]:8080", {}, True),
        ("rebound.example:8080", {}, False), ("localhost.rebound.example", {}, False),
        ("[::1", {}, False), ("\xff", {}, False),
        ("docs.example", {"allowed_hosts": ["Docs.example"]}, True),
        ("rebound.example", {"allowed_hosts": ["docs.example"], "host": "0.0.0.0"}, False),
        ("10.0.0.7", {"allowed_hosts": ["docs.example"], "host": "0.0.0.0"}, True),
        ("anything.example", {"host": "0.0.0.0"}, True),
    ],
)  # fmt: skip
def test_a_name_that_somebody_points_here_is_refused(
    host: str, settings: dict[str, Any], known: bool
) -> None:
    app = FastAPI(openapi_url=None)
    names = allowed_names(ServerSettings(**settings))
    if names is not None:
        app.add_middleware(KnownHost, names=names)
    answer = TestClient(app).get("/", headers=[(b"Host", host.encode("latin-1"))])
    assert answer.status_code == (404 if known else 421)


def test_a_taken_port_is_told(folder: Path) -> None:
    with ServeProcess(folder) as served:
        _, told = run(folder, "serve", "--port", str(served.port), code=1)
        assert "server.port" in told


def test_keys_from_the_command_line(folder: Path) -> None:
    out, told = run(folder, "keys", "add", "ci", "--scope", "operate", "--scope", "read")
    assert out.startswith("rx_")
    assert "shown this once" in told
    assert run_json(folder, "keys", "list")["keys"][0]["scopes"] == ["operate", "read"]
    run(folder, "keys", "revoke", "ci")
    assert json.dumps(run_json(folder, "keys", "list")).count("null") == 0
    _, told = run(folder, "keys", "add", "x y", "--scope", "read", code=1)
    assert "letters, digits" in told
    _, told = run(folder, "keys", "add", "y", "--scope", "admin", code=1)
    assert "search, read, write, operate" in told
    _, told = run(folder, "keys", "revoke", "nobody", code=1)
    assert "Known: ci" in told
