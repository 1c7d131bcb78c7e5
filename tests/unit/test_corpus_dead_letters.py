"""One bad row costs one line; too many stop the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reindex.corpus.dead_letters import ROW_LIMIT, DeadLetters
from reindex.errors import TooManyBadRows


def test_the_file_appears_with_the_first_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "dead.jsonl"
    with DeadLetters(path, 1.0) as dead:
        dead.ok(5)
        assert not path.exists()
        dead.add(file="a.jsonl", line=7, reason="invalid JSON: x", row="é" * 5_000, id="q")
        assert path.exists()
    kept = json.loads(path.read_text("utf-8"))
    assert kept == {
        "file": "a.jsonl",
        "line": 7,
        "reason": "invalid JSON: x",
        "id": "q",
        "row": "é" * ROW_LIMIT,
    }


def test_a_clean_run_leaves_no_file_of_an_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    path.write_text("old\n")
    with DeadLetters(path, 0.0) as dead:
        dead.ok(1_000)
    assert not path.exists()
    assert dead.summary() is None


def test_counts_and_ids(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "dead.jsonl", 1.0) as dead:
        dead.add(file="a", line=1, reason="no text", id=3)
        dead.add(file="a", line=2, reason="no text", id="x")
        dead.add(file="a", line=3, reason="no id")
    assert dead.count == 3
    assert dead.ids == {3, "x"}


def test_too_many_bad_rows_say_how_many_why_where_and_which_key(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    with DeadLetters(path, 0.02) as dead:
        dead.ok(197)
        for line in (1, 2, 3):
            dead.add(file="a", line=line, reason=f"invalid JSON: column {line}")
        dead.ok(2)
        dead.add(file="a", line=4, reason="no id in _id")
        with pytest.raises(TooManyBadRows) as caught:
            dead.add(file="a", line=5, reason="no id in _id")
    message = str(caught.value)
    for part in ("5 of 204 rows", "invalid JSON (3)", "no id in _id (2)", str(path)):
        assert part in message
    assert "source.max_bad_rows allows 2.0%" in message
    assert len(path.read_text().splitlines()) == 5


def test_the_share_counts_from_min_rows_on(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "dead.jsonl", 0.1, min_rows=20) as dead:
        for line in range(10):
            dead.add(file="a", line=line, reason="no id")
        dead.ok(9)
        with pytest.raises(TooManyBadRows, match="10 of 20"):
            dead.ok()


def test_a_share_of_one_never_stops(tmp_path: Path) -> None:
    with DeadLetters(tmp_path / "dead.jsonl", 1.0) as dead:
        for line in range(300):
            dead.add(file="a", line=line, reason="no id")
    assert dead.count == 300
