"""Trying a request to a server again: which failures pass, and how long to wait.

Failures are told apart by what they carry, so that this module needs no client library:
``status_code`` (REST), ``code()`` (gRPC), ``retry_after_s`` (a rate limit), ``source`` (transport).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

Result = TypeVar("Result")
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
"""A random share of 0.5, 1, 2, … s: "full jitter" (M. Brooker, Exponential Backoff And Jitter)."""
_GRPC_PASSING = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}


class NotCompleted(Exception):
    """The server took a write, but did not say that it is applied."""


def may_pass(error: BaseException) -> bool:
    """Whether another try may succeed: time-outs, lost connections, 5xx, rate limits.

    Never another 4xx: the same request is as wrong the second time.
    """
    if isinstance(error, NotCompleted) or hasattr(error, "retry_after_s"):
        return True
    status = getattr(error, "status_code", None)
    if status is not None:
        return bool(status == 429 or status >= 500)
    if grpc_code(error) is not None:
        return grpc_code(error) in _GRPC_PASSING
    return is_transport(getattr(error, "source", error))


def asked_wait(error: BaseException) -> float | None:
    """Seconds that a rate limit asks to wait."""
    return getattr(error, "retry_after_s", None)


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
