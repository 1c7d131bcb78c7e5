"""A project behind HTTP: in this process, or as `reindex serve`."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from reindex.project import Project
from reindex.registry.api_keys import ApiKeys
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.owner_fixtures import PATIENCE, ROOT


def key(project: Project, *scopes: str, name: str = "tester") -> dict[str, str]:
    """A new key's header."""
    made = ApiKeys(project.registry).add(name, scopes, "nobody@nowhere")
    return {"Authorization": f"Bearer {made}"}


@contextmanager
def served_project(folder: Path, texts: Sequence[str]) -> Iterator[HashWorkspace]:
    """v1 is live, v2 is built; small limits."""
    write_documents(folder, texts)
    with hash_project(folder, server={"max_texts": 8, "max_body_mb": 0.01}) as project:
        for version in ("v1", "v2"):
            project.build(version)
        project.promote("v1")
        yield project


def error(answer: Any) -> dict[str, Any]:
    """What an answer says that it was."""
    found: dict[str, Any] = answer.json()["error"]
    return found


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """Serve ``app`` on a real socket in a thread; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()


class ServeProcess:
    """`reindex serve` over hash encoders; ``port`` is a free one."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.hash_cli", "-c", str(folder), "serve", "--port", "0"],
            cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.told: list[str] = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.told.append(line)
            if line.startswith("Serving"):
                self.port = int(line.split("127.0.0.1:")[1].split()[0])
                break
        else:
            raise AssertionError("".join(self.told))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._until_ready()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.told.extend(self.process.stderr)

    def _until_ready(self) -> None:
        end = time.monotonic() + PATIENCE
        while self.call("GET", "/health/live")[0] != 200:
            assert time.monotonic() < end, "".join(self.told)

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """One request on a connection of its own: status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()

    def end(self, number: int) -> str:
        """Send a signal; what it said, once it has ended in peace."""
        self.process.send_signal(number)
        assert self.process.wait(PATIENCE) == 0, "".join(self.told)
        self._reader.join(PATIENCE)
        return "".join(self.told)

    def __enter__(self) -> ServeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
