"""A local HTTP server that speaks the protocol of chat completions, and fails as told.

What becomes of a request is decided by ``script``, a function of the request's number (from 0) and
its prompt; ``ANSWER`` answers. Everything that came is in ``requests``.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

KEY = "sk-local-3c0ffee"
BEFORE, AFTER = 'Passage:\n"""\n', '\n"""\nQueries:'


@dataclass(frozen=True)
class Says:
    """One reply. ``body``: bytes as they are, text, or what becomes JSON."""

    status: int = 200
    body: Any = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """End the connection in the middle of the body."""
    hold: threading.Event | None = None
    """Wait for this before anything is sent."""


def completion(content: Any, *, finish: str = "stop", **fields: Any) -> dict[str, Any]:
    """The JSON of an answer; ``usage`` None leaves it away."""
    usage = fields.pop("usage", {"prompt_tokens": 200, "completion_tokens": 50})
    message = {"role": "assistant", "content": content, **fields}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    made = {"object": "chat.completion", "choices": [choice]}
    return made if usage is None else {**made, "usage": usage}


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Says:
    """An error as the protocol has it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Says(status, {"error": {"message": message, "code": code}}, named)


def passage_of(prompt: str) -> str:
    """The passage in a prompt that was made from the one that comes along."""
    _, before, rest = prompt.rpartition(BEFORE)
    passage, after, _ = rest.partition(AFTER)
    assert before, prompt
    assert after, prompt
    return passage


def queries_for(passage: str, n: int = 3) -> list[str]:
    """Queries that have words of the passage, the same ones each time."""
    words = list(dict.fromkeys(re.findall(r"\w{4,}", passage)))
    start = hashlib.sha256(passage.encode()).digest()[0]
    picked = [[words[(start + 5 * at + i) % len(words)] for i in range(4)] for at in range(n)]
    return [f"what about {' '.join(some)}?" for some in picked]


def answers(_number: int, prompt: str) -> Says:
    """A good answer."""
    return Says(body=completion(json.dumps(queries_for(passage_of(prompt)))))


Script = Callable[[int, str], Says]


class OpenAIServer(ThreadingHTTPServer):
    """The server, in threads. A context manager; ``url`` is its base URL."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: Script = answers, *, key: str = KEY) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script, self.key = script, key
        self.requests: list[dict[str, Any]] = []
        self.arrived = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def prompts(self) -> list[str]:
        return [request["messages"][-1]["content"] for request in self.requests]

    def wait_for(self, count: int) -> None:
        """Until so many requests have come."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.requests) >= count, timeout=60)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: OpenAIServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.arrived:
            number = len(self.server.requests)
            self.server.requests.append(body)
            self.server.arrived.notify_all()
        self._say(self._decide(number, body))

    def _decide(self, number: int, body: dict[str, Any]) -> Says:
        if self.path != "/v1/chat/completions":
            return error(404, f"no such path: {self.path}")
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given != self.server.key:
            return error(401, f"Incorrect API key provided: {given}", "invalid_api_key")
        return self.server.script(number, body["messages"][-1]["content"])

    def _say(self, says: Says) -> None:
        if says.hold is not None:
            says.hold.wait(60)
        body = says.body if isinstance(says.body, bytes | str) else json.dumps(says.body)
        data = body.encode() if isinstance(body, str) else body
        self.send_response(says.status)
        for name, value in {"Content-Type": "application/json", **says.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not says.cut:
            self.wfile.write(data)
            return
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        linger = struct.pack("ii", 1, 0)  # a reset, not a decent end
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Not a word."""
