"""What goes wrong, as an HTTP answer: a status, a type, and a message that says what to do.

Messages of `ReindexError` are written for people and are passed on. Of everything else only a
number is told, under which the log has the whole story.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from reindex import errors
from reindex.errors import ReindexError

logger = logging.getLogger(__name__)

STATUS: tuple[tuple[type[ReindexError], int], ...] = (
    (errors.PromotionRefused, 409),
    (errors.CanaryRefused, 409),
    (errors.Conflict, 409),
    (errors.UnknownVersion, 404),
    (errors.WriteRefused, 422),
    (errors.FeedbackError, 422),
    (errors.FilterRefused, 422),
    (errors.ComparisonError, 409),
    (errors.DataError, 422),
    (errors.ConfigError, 422),
    (errors.CollectionNotFound, 503),
    (errors.WriteNotAcknowledged, 503),
    (errors.Cancelled, 409),
    (errors.RunStopped, 503),
    (errors.StoreBusy, 503),
    (errors.OwnerError, 503),
    (errors.StoreError, 502),
    (errors.DiskFull, 507),
    (ReindexError, 500),
)
"""The first class that fits decides."""

KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 409: "conflict_error", 413: "invalid_request_error",
    422: "invalid_request_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip
"""As OpenAI's API names them, where it does."""


class Problem(Exception):
    """A request that is answered by ``status`` and a message."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        self.headers = dict(headers or {})


def answer(
    status: int, message: str, *, param: str | None = None, code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:  # fmt: skip
    """The body has the form of OpenAI's errors."""
    kind = KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    error = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": error}, status, dict(headers or {}))


def install(app: FastAPI) -> None:
    """Let ``app`` answer every exception in this form."""

    async def on_problem(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return answer(
            error.status, str(error), param=error.param, code=error.code, headers=error.headers
        )

    async def on_reindex(_: Request, error: Exception) -> JSONResponse:
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        headers = {"Retry-After": "1"} if status == 503 else None
        return answer(status, str(error), code=type(error).__name__, headers=headers)

    async def on_validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first: dict[str, Any] = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        why = "There is no such field here." if first["type"] == "extra_forbidden" else first["msg"]
        return answer(400, f"{where or 'body'}: {why}", param=where or None)

    async def on_http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return answer(error.status_code, str(error.detail), headers=error.headers)

    async def on_anything(_: Request, error: Exception) -> JSONResponse:
        number = secrets.token_hex(6)
        logger.error("error %s", number, exc_info=error)
        return answer(500, f"Something went wrong here. The log of the server has it as {number}.")

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(ReindexError, on_reindex)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_anything)
