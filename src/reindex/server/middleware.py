"""Around every request: a limit on its body, its time, its place in the metrics and in the log.

Plain ASGI, because Starlette's BaseHTTPMiddleware costs a task and two queues per request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.exceptions import HTTPException

from reindex.server.errors import answer
from reindex.server.service import Service

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

access = logging.getLogger("reindex.access")


class LimitBody:
    """Answers 413 where a body is larger than ``most`` bytes, also one of unknown length, and 408
    where it is not there within so many seconds.
    """

    def __init__(self, app: App, most: int, seconds: float) -> None:
        self._app, self._most, self._seconds = app, most, seconds
        self._late = f"The body did not come within {seconds:g} s (server.request_timeout)."
        self._why = f"The body is larger than {most / 1e6:g} MB (server.max_body_mb)."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        told = dict(scope["headers"]).get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._most:
            refusal = answer(413, self._why, headers={"Connection": "close"})
            return await refusal(scope, receive, send)
        taken, more = 0, True
        until = asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            nonlocal taken, more
            if not more:  # what comes now is the end of the connection, whenever that is
                return await receive()
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, self._late, {"Connection": "close"}) from None
            more = bool(message.get("more_body"))
            taken += len(message.get("body", b""))
            if taken > self._most:
                raise HTTPException(413, self._why)  # the one kind that FastAPI lets through
            return message

        await self._app(scope, counted, send)


class Observe:
    """Counts and logs each request: a JSON line, without queries, keys or documents."""

    def __init__(self, app: App, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began, status, number = time.perf_counter(), 500, uuid.uuid4().hex[:16]

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", number.encode())]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._note(scope, number, status, time.perf_counter() - began)

    def _note(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "(none)")
        self._service.metrics.requests.labels(route, str(status)).observe(seconds)
        line = {
            "request": number, "method": scope["method"], "route": route, "status": status,
            "ms": round(seconds * 1000, 2),
            "key": scope.get("state", {}).get("asker", ""),
        }  # fmt: skip
        access.info(json.dumps(line), extra={"fields": line})
