"""A Qdrant server for tests: a process that speaks the REST API over HTTP, and can be killed.

``python -m tests.qdrant_server PORT LOG`` serves until it is ended and prints its port. Every
change is in LOG before it is applied, and replayed at the next start, so SIGKILL loses nothing
that was acknowledged. See `tests.qdrant_engine` for what it understands. No gRPC, no API keys.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.qdrant_engine import Engine, Request

HOST = "127.0.0.1"


class Log:
    """The changes, one JSON line each. A line that was cut by a kill is dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        written = path.read_bytes() if path.exists() else b""
        self._whole = written[: written.rfind(b"\n") + 1]

    def requests(self) -> Iterator[Request]:
        """What was written before."""
        for line in self._whole.splitlines():
            method, path, body = json.loads(line)
            yield Request(method, path, body.encode())

    def open(self) -> None:
        """Begin to write, behind what is whole."""
        self._path.touch()
        os.truncate(self._path, len(self._whole))
        self._file = self._path.open("ab", buffering=0)

    def write(self, request: Request) -> None:
        """One write call: it is in the system's cache, which outlives the process."""
        line = json.dumps([request.method, request.path, request.body.decode()])
        self._file.write(line.encode() + b"\n")

    def close(self) -> None:
        self._file.close()


class Server(ThreadingHTTPServer):
    """Serves an engine whose changes go to a log."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, log: Log) -> None:
        super().__init__((HOST, port), Handler)
        self.log, self.engine = log, Engine()
        for request in log.requests():
            self.engine.handle(request)
        log.open()

    def server_close(self) -> None:
        super().server_close()
        self.log.close()


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body in one piece

    def _reply(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the request was cut")
        path = unquote(urlsplit(self.path).path)
        request = Request(self.command, path, body)
        status, answer = self.server.engine.handle(request, lambda: self.server.log.write(request))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.wfile.flush()

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _reply

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # a client that went away
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


class QdrantProcess:
    """The server as a process of its own. ``url`` stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self._log, self.port = folder / "qdrant.log", 0
        self._worker: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, with all that was acknowledged before; returns when it serves."""
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.qdrant_server", str(self.port), str(self._log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            text=True,
        )
        assert self._worker.stdout is not None
        line = self._worker.stdout.readline()
        assert line.strip().isdigit(), self._worker.communicate()[1]
        self.port = int(line)

    def kill(self) -> None:
        """SIGKILL, wherever it is."""
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def __enter__(self) -> QdrantProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextlib.contextmanager
def serving(log: Path) -> Iterator[str]:
    """The server within this process, for tests that do not kill it; gives its URL."""
    server = Server(0, Log(log))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def main() -> None:
    server = Server(int(sys.argv[1]), Log(Path(sys.argv[2])))
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # ends with the process that started this one


if __name__ == "__main__":
    main()
