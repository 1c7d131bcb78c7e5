"""What goes over the owner's socket: one JSON object a line, in UTF-8. See docs/owner.md."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any

from reindex import __version__
from reindex.errors import OwnerError, ReindexError
from reindex.plain import error_to_plain

PROTOCOL = 1
"""Number of the protocol; both sides must have the same, and the same release of reindex."""

MAX_LINE = 256 * 2**20
"""Bytes of one message at most."""

ALIVE_EVERY = 1.0
"""Seconds after which the owner says that it lives while it has nothing else to say."""


def encode(message: Mapping[str, Any]) -> bytes:
    """One line. Only ASCII is sent, so that lone surrogates survive."""
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The object of one line. Raises OwnerError for anything else."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise OwnerError(f"Expected one JSON object per line, got {line[:80]!r}.")
    return found


def hello(token: str) -> dict[str, Any]:
    """The first line of a client."""
    return {"reindex": PROTOCOL, "release": __version__, "token": token}


def error_event(error: BaseException) -> dict[str, Any]:
    """An exception as a message."""
    if isinstance(error, ReindexError):
        return {"event": "error", **error_to_plain(error)}
    where = "".join(traceback.format_exception(error))  # a bug, or the machine's fault
    told = OwnerError(f"The owner failed with {type(error).__name__}: {error}\n{where}")
    return {"event": "error", **error_to_plain(told)}
