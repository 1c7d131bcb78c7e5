"""Which failures are tried again, and after how long: the client's own errors, no sleeping."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import pytest
from qdrant_client.common.client_exceptions import QdrantException, ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from reindex.stores import retry
from reindex.stores.retry import (
    LONGEST_WAIT_S,
    NotCompleted,
    Retry,
    asked_wait,
    is_refusal,
    may_pass,
)

NOW = datetime(2030, 1, 1, 12, 0, 0, tzinfo=UTC)


def rest(status: int, **headers: str) -> UnexpectedResponse:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return UnexpectedResponse(status, "reason", b"{}", httpx.Headers(named))


class Call(grpc.RpcError):  # type: ignore[misc]
    """A failed gRPC call as grpc raises it."""

    def __init__(self, code: grpc.StatusCode, details: str = "", **metadata: str) -> None:
        super().__init__(details)
        self._code, self._metadata = code, metadata

    def code(self) -> grpc.StatusCode:
        return self._code

    def trailing_metadata(self) -> tuple[tuple[str, str], ...]:
        return tuple((key.replace("_", "-"), value) for key, value in self._metadata.items())


def unread(value: str) -> Exception:
    """What the client raises for a Retry-After that is no integer."""
    try:
        return ResourceExhaustedResponse("slow down", value)  # type: ignore[arg-type]
    except QdrantException as error:
        return error


CODE = grpc.StatusCode


@pytest.mark.parametrize(
    ("error", "passes", "asked"),
    [
        (rest(400), False, None),
        (rest(401), False, None),
        (rest(404), False, None),
        (rest(413), False, None),
        (rest(422), False, None),
        (rest(429), True, None),
        (rest(500), True, None),
        (rest(502), True, None),
        (rest(503), True, None),
        (rest(503, Retry_After="7"), True, 7.0),
        (rest(503, Retry_After="Tue, 01 Jan 2030 12:00:20 GMT"), True, 20.0),
        (rest(429, Retry_After="soon"), True, None),
        (rest(500, Retry_After="7"), True, None),  # means nothing there
        (ResourceExhaustedResponse("slow down", 3), True, 3.0),
        (ResourceExhaustedResponse("slow down", 0), True, 0.0),
        (ResourceExhaustedResponse("come back tomorrow", 86_400), False, 86_400.0),
        (unread("Tue, 01 Jan 2030 12:00:05 GMT"), True, 5.0),
        (unread("Tue, 01 Jan 2030 11:00:00 GMT"), True, 0.0),
        (unread("1.5"), True, 1.5),
        (Call(CODE.RESOURCE_EXHAUSTED), True, None),
        (Call(CODE.RESOURCE_EXHAUSTED, retry_after="4"), True, 4.0),
        (Call(CODE.UNAVAILABLE, grpc_retry_pushback_ms="2500"), True, 2.5),
        (Call(CODE.RESOURCE_EXHAUSTED, "Sent message larger than max (70 vs. 64)"), False, None),
        (Call(CODE.UNAVAILABLE), True, None),
        (Call(CODE.DEADLINE_EXCEEDED), True, None),
        (Call(CODE.INVALID_ARGUMENT), False, None),
        (Call(CODE.NOT_FOUND), False, None),
        (ResponseHandlingException(httpx.ReadTimeout("slow")), True, None),
        (ResponseHandlingException(httpx.ConnectError("refused")), True, None),
        (ResponseHandlingException(ValueError("no JSON")), False, None),
        (ConnectionResetError(), True, None),
        (NotCompleted("wait_timeout"), True, None),
        (ValueError("a bug"), False, None),
    ],
    ids=repr,
)
def test_what_passes_and_what_the_server_asks_for(
    error: Exception, passes: bool, asked: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "_now", lambda: NOW)
    assert asked_wait(error) == asked
    assert may_pass(error) is passes


def failing(*errors: Exception) -> Any:
    left = list(errors)

    def request() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return request


def test_never_sooner_than_the_server_asks_and_never_all_at_once() -> None:
    waits: list[float] = []
    errors = [ResourceExhaustedResponse("slow down", 10)] * 20
    assert Retry(21, waits.append)(failing(*errors)) == "done"
    assert all(10 <= wait <= 10 + LONGEST_WAIT_S for wait in waits)
    assert len({round(wait, 3) for wait in waits}) > 15  # jittered: clients do not come in step


def test_pauses_grow_and_end() -> None:
    waits: list[float] = []
    with pytest.raises(UnexpectedResponse):
        Retry(6, waits.append)(failing(*[rest(500)] * 6))
    assert len(waits) == 5
    assert all(wait <= 0.5 * 2**n for n, wait in enumerate(waits))


def test_what_does_not_pass_is_tried_once() -> None:
    waits: list[float] = []
    with pytest.raises(UnexpectedResponse):
        Retry(6, waits.append)(failing(rest(400)))
    assert waits == []


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (rest(400), True), (rest(413), True), (rest(422), True),
        (rest(401), False), (rest(403), False), (rest(404), False), (rest(429), False),
        (rest(500), False),
        (Call(CODE.INVALID_ARGUMENT), True), (Call(CODE.PERMISSION_DENIED), False),
        (Call(CODE.UNAVAILABLE), False), (Call(CODE.RESOURCE_EXHAUSTED), False),
        (Call(CODE.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 8)"), True),
        (ValueError("Out of range float values are not JSON compliant"), True),
        (UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed"), True),
        (unread("Wed, 01 Jan 2030 12:00:07 GMT"), False),
        (OSError("broken pipe"), False), (RuntimeError("a bug"), False),
    ],
)  # fmt: skip
def test_which_failures_are_the_request_s_own(error: Exception, refused: bool) -> None:
    assert is_refusal(error) is refused
