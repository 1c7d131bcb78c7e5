"""The server's log lines."""

from __future__ import annotations

import json
import logging
import sys

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from reindex.server.logs import JsonLines


def line(**given: object) -> dict[str, object]:
    record = logging.LogRecord("reindex.x", logging.INFO, "", 1, "told %s", ("you",), None)
    vars(record).update(given)
    found: dict[str, object] = json.loads(JsonLines().format(record))
    return found


def test_a_message() -> None:
    found = line()
    assert (found["level"], found["logger"], found["message"]) == ("info", "reindex.x", "told you")
    assert str(found["time"]).endswith("+00:00")


def test_fields_stand_beside_the_rest() -> None:
    found = line(fields={"route": "/v1/search", "ms": 1.5})
    assert (found["route"], found["ms"], found["logger"]) == ("/v1/search", 1.5, "reindex.x")
    assert "message" not in found


def test_a_traceback_is_one_text_on_one_line() -> None:
    try:
        raise ValueError("oh\nno")
    except ValueError:
        found = line(exc_info=sys.exc_info())
    assert "ValueError: oh\nno" in str(found["exception"])
