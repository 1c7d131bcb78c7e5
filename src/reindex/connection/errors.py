"""A server's error, as the exception that the same thing raises on this host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from reindex import errors
from reindex.errors import ReindexError
from reindex.plain import error_from_plain

TOO_MANY = "too_many"
"""The server's code where a request holds more texts, queries or documents than it takes."""

_BY_CODE: dict[str | None, type[ReindexError]] = {
    TOO_MANY: errors.RequestTooLarge, "overloaded": errors.ServerBusy,
}  # fmt: skip
_BY_STATUS: dict[int, type[ReindexError]] = {
    400: errors.RequestRefused, 401: errors.AccessDenied, 403: errors.AccessDenied,
    413: errors.RequestTooLarge, 422: errors.RequestRefused, 429: errors.ServerBusy,
    503: errors.ServerBusy, 504: errors.ServerBusy,
}  # fmt: skip
_PASSING = {"overloaded", "StoreBusy", "OwnerGone", "OwnerSilent"}
"""Codes of answers after which the same request may well succeed."""


def error_of(answer: httpx.Response) -> ReindexError:
    """What ``answer`` says went wrong."""
    said = _said(answer)
    message, code = said.get("message"), said.get("code")
    if message is None:  # somebody between us and the server, or another server
        kind = _BY_STATUS.get(answer.status_code, errors.ServerError)
        return kind(
            f"{shown(answer.request.url)} answered {answer.status_code} {answer.reason_phrase}, "
            "and not as a reindex server does. Is this its address?"
        )
    own = getattr(errors, str(code), None)
    if isinstance(own, type) and issubclass(own, ReindexError):
        return error_from_plain({"classes": [code], "message": message, "attributes": {}})
    if answer.status_code == 404 and code is None:  # no such route
        message = f"{shown(answer.request.url)}: {message}. Is this the address of `reindex serve`?"
    kind = _BY_CODE.get(code) or _BY_STATUS.get(answer.status_code, errors.ServerError)
    return kind(message)


def may_pass(answer: httpx.Response) -> bool:
    """Whether the same request may succeed in a moment: the server was too busy, or not there."""
    if answer.status_code not in (429, 502, 503):
        return False
    said = _said(answer)
    return not said or said.get("code") in _PASSING


def unreachable(error: httpx.TransportError, url: httpx.URL, timeout: float) -> ReindexError:
    """What it means that a request or its answer was lost."""
    late = isinstance(error, httpx.TimeoutException)
    why = f"did not answer within {timeout:g} s" if late else f"cannot be reached: {error}"
    return errors.ServerUnreachable(f"{shown(url)} {why}. Does `reindex serve` run there?")


def shown(url: httpx.URL) -> str:
    """The address without what might be a secret."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _said(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    said = body.get("error") if isinstance(body, dict) else None
    return said if isinstance(said, dict) and isinstance(said.get("message"), str) else {}
