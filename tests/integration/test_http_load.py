"""The HTTP server with more to do than it can."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from reindex.server.app import make_app
from reindex.stages.building import build
from tests.hash_project import hash_project, write_documents
from tests.http_fixtures import error, listening

TEXTS = [f"text number {n}" for n in range(20)]


class TestLoad:
    """More requests than there are threads."""

    def test_too_many_are_told_at_once_and_nothing_is_lost(self, tmp_path: Path) -> None:
        write_documents(tmp_path, TEXTS)
        with hash_project(tmp_path, server={"threads": 1, "max_waiting": 1}) as project:
            build(project, "v1")
            project.promote("v1")
            app = make_app(project)
            held, go = threading.Event(), threading.Event()

            def hold() -> None:
                held.set()
                go.wait(60)

            with TestClient(app) as client:
                service = app.state.service
                portal = client.portal
                assert portal is not None
                running = [portal.start_task_soon(service.run, hold) for _ in range(2)]
                assert held.wait(60)
                while service.waiting < 2:
                    portal.call(_pass)
                answer = client.post("/v1/search", json={"query": "a"})
                assert answer.status_code == 503
                assert answer.headers["Retry-After"] == "1"
                go.set()
                for task in running:
                    task.result()
                assert client.post("/v1/search", json={"query": "a"}).status_code == 200

    def test_one_that_takes_too_long_is_given_up(self, tmp_path: Path) -> None:
        write_documents(tmp_path, TEXTS)
        with hash_project(tmp_path, server={"request_timeout": 0.05}) as project:
            build(project, "v1")
            project.promote("v1")
            go = threading.Event()
            with TestClient(make_app(project)) as client:
                search = project.store.search

                def slow(*args: Any, **kwargs: Any) -> Any:
                    go.wait(60)
                    return search(*args, **kwargs)

                project.store.search = slow  # type: ignore[method-assign]
                answer = client.post("/v1/search", json={"query": "a"})
                assert (answer.status_code, error(answer)["type"]) == (504, "timeout_error")
                go.set()

    def test_a_body_that_does_not_come(self, tmp_path: Path) -> None:
        with (
            hash_project(tmp_path, server={"request_timeout": 0.2}) as project,
            listening(make_app(project)) as address,
            socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])), 60) as slow,
        ):
            slow.sendall(
                b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


async def _pass() -> None:
    """Let the loop turn once."""
