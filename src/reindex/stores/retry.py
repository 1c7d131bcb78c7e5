"""Trying a request to a server again: which failures pass, and how long to wait.

Failures are told apart by what they carry, so that this module needs no client library:
``status_code`` and ``headers`` (REST), ``code()`` and ``trailing_metadata()`` (gRPC),
``retry_after_s`` (a rate limit), ``source`` (transport).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import tenacity

Result = TypeVar("Result")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""A random share of 0.5, 1, 2, … s: "full jitter" (M. Brooker, Exponential Backoff And Jitter)."""
LONGEST_WISH_S = 300.0
"""A server that asks for a longer wait is not waited for: the run ends and can be resumed."""
_GRPC_PASSING = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
_REFUSED, _GRPC_REFUSED = (400, 413, 422), ("INVALID_ARGUMENT", "OUT_OF_RANGE")
_TOO_LARGE = "larger than max"
"""gRPC's words for a message over its limit: RESOURCE_EXHAUSTED, too, but it never passes."""
_UNREAD_WISH = "Retry-After header value is not a valid integer: "
"""What qdrant-client makes of a date in the header of a 429: an error of its own."""


class NotCompleted(Exception):
    """The server took a write, but did not say that it is applied."""


def may_pass(error: BaseException) -> bool:
    """Whether another try may succeed: time-outs, lost connections, 5xx, rate limits.

    Never another 4xx: the same request is as wrong the second time.
    """
    if (asked := asked_wait(error)) is not None:
        return asked <= LONGEST_WISH_S
    if isinstance(error, NotCompleted) or _UNREAD_WISH in str(error):
        return True
    status = getattr(error, "status_code", None)
    if status is not None:
        return bool(status == 429 or status >= 500)
    if grpc_code(error) is not None:
        return grpc_code(error) in _GRPC_PASSING and _TOO_LARGE not in str(error)
    return is_transport(getattr(error, "source", error))


def asked_wait(error: BaseException) -> float | None:
    """Seconds that the server asks to wait, None where it says nothing.

    ``Retry-After`` (RFC 9110, 10.2.3: seconds or a date) of a 429 or 503, as a header or as gRPC
    metadata, or gRPC's own ``grpc-retry-pushback-ms``.
    """
    seconds = getattr(error, "retry_after_s", None)
    if seconds is not None:
        return max(0.0, float(seconds))
    if _UNREAD_WISH in str(error):
        return _seconds(str(error).partition(_UNREAD_WISH)[2])
    said = _said(error)
    if (pushback := said.get("grpc-retry-pushback-ms")) is not None:
        return _seconds(pushback, unit=0.001)
    if getattr(error, "status_code", None) in (None, 429, 503) and "retry-after" in said:
        return _seconds(said["retry-after"])
    return None


def _said(error: BaseException) -> dict[str, str]:
    """The headers of a REST answer, or the trailing metadata of a gRPC one."""
    metadata = getattr(error, "trailing_metadata", None)
    pairs = metadata() if callable(metadata) else getattr(error, "headers", None)
    if pairs is None:
        return {}
    items = pairs.items() if hasattr(pairs, "items") else pairs
    return {str(key).lower(): str(value) for key, value in items}


def _seconds(wish: str, unit: float = 1.0) -> float | None:
    """A number, or a date as seconds from now."""
    try:
        return max(0.0, float(wish) * unit)
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(wish.strip())
    except (TypeError, ValueError):
        return None
    date = date.replace(tzinfo=date.tzinfo or UTC)  # "-0000" is UTC of unknown origin
    return max(0.0, (date - _now()).total_seconds())


def _now() -> datetime:
    return datetime.now(UTC)


def is_refusal(error: BaseException) -> bool:
    """Whether the request itself is at fault: the server says so, or it cannot even be sent."""
    if may_pass(error):
        return False
    status, code = getattr(error, "status_code", None), grpc_code(error)
    if status is None and code is None:
        return isinstance(error, ValueError | TypeError | OverflowError)
    too_large = code == "RESOURCE_EXHAUSTED" and _TOO_LARGE in str(error)
    return status in _REFUSED or code in _GRPC_REFUSED or too_large


def is_missing(error: BaseException) -> bool:
    """Whether the server says that there is no such collection."""
    return getattr(error, "status_code", None) == 404 or grpc_code(error) == "NOT_FOUND"


def grpc_code(error: BaseException) -> str | None:
    """The name of a gRPC error's status."""
    code = getattr(error, "code", None)
    return getattr(code(), "name", None) if callable(code) else None


def is_transport(error: object) -> bool:
    """Whether the request or its answer was lost on the way."""
    import httpx

    return isinstance(error, OSError | httpx.TransportError)


@dataclass(frozen=True, slots=True)
class Retry:
    """Runs a request up to ``attempts`` times; ``sleep`` waits in between."""

    attempts: int
    sleep: Callable[[float], None] = time.sleep

    def __call__(self, request: Callable[[], Result]) -> Result:
        """The request's result; raises its last error."""
        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            retry=tenacity.retry_if_exception(may_pass),
            wait=_wait,
            sleep=self.sleep,
            reraise=True,
        )(request)


_jitter = tenacity.wait_random_exponential(multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = asked_wait(error) if error else None
    return _jitter(state) + (asked or 0.0)
