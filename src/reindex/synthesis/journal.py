"""Every answer that was paid for, on disk before anything else is done with it.

A kill at any time loses what was under way and nothing that was answered; nothing that is here is
asked again. Answers are kept by what was asked: model, temperature and the whole prompt with its
passage. One that reached its limit of tokens before any query is asked again where more tokens are
allowed than then. What was charged for answers that were of no use is kept as well, for the cost to
be true.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from reindex.errors import SynthesisError
from reindex.synthesis.replies import Answer, Tokens

JOURNAL_NAME = "answers.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, outcome TEXT NOT NULL, content TEXT NOT NULL,
    answered_at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS charges (
    key TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL,
    estimated INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS cuts (key TEXT PRIMARY KEY, max_tokens INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS charges_key ON charges (key);
"""
_KNOWN = """
SELECT key, outcome, content, coalesce(max_tokens, (
    SELECT max(tokens_out) FROM charges WHERE charges.key = answers.key AND NOT estimated
)) FROM answers LEFT JOIN cuts USING (key)
"""
"""With the tokens that were allowed; where these were not kept yet, those that were written."""
_QUESTION = 500
"""Keys per query."""


def answer_key(model: str, temperature: float | None, prompt: str) -> str:
    """What an answer is kept by."""
    asked = json.dumps([model, temperature, prompt])
    return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()


class Journal:
    """The answers in a file; several threads may use one.

    Args:
        file: made where it is not there.
        max_tokens: that an answer may have now.

    Raises:
        SynthesisError: the file is no journal.
    """

    def __init__(self, file: Path, max_tokens: int) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._max_tokens = max_tokens
        self._lock = threading.Lock()
        self._database = sqlite3.connect(file, timeout=30, check_same_thread=False)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")  # on disk with each commit
            self._database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise SynthesisError(
                f"{file} is no journal of answers ({error}). Move it away to begin anew; what it "
                "held is asked and paid again."
            ) from None

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._database.close()

    def record(self, key: str, model: str, answer: Answer) -> None:
        """Keep an answer and what it cost; it is on disk when this returns."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock, self._database:
            self._database.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
                (key, model, answer.outcome, _storable(answer.content), at),
            )
            if answer.outcome == "cut":
                limit = (key, self._max_tokens)
                self._database.execute("INSERT OR REPLACE INTO cuts VALUES (?, ?)", limit)
            self._charge(key, answer.tokens)

    def charge(self, key: str, tokens: Tokens) -> None:
        """Keep what an answer cost that was of no use."""
        with self._lock, self._database:
            self._charge(key, tokens)

    def _charge(self, key: str, tokens: Tokens) -> None:
        row = (key, tokens.read, tokens.written, int(tokens.estimated))
        self._database.execute("INSERT INTO charges VALUES (?, ?, ?, ?)", row)

    def answers(self, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Key -> outcome and content, of those that are here and would not be longer today."""
        return {
            key: (outcome, content)
            for key, outcome, content, allowed in self._of_keys(_KNOWN, keys)
            if outcome != "cut" or allowed is None or self._max_tokens <= allowed
        }

    def charged(self, keys: Sequence[str]) -> Tokens:
        """What was charged for these keys, in all runs."""
        read = written = 0
        estimated = False
        for row in self._of_keys("SELECT tokens_in, tokens_out, estimated FROM charges", keys):
            read, written = read + row[0], written + row[1]
            estimated = estimated or bool(row[2])
        return Tokens(read, written, estimated)

    def _of_keys(self, question: str, keys: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        left = iter(dict.fromkeys(keys))
        while part := list(islice(left, _QUESTION)):
            marks = ",".join("?" * len(part))
            with self._lock:
                rows = self._database.execute(f"{question} WHERE key IN ({marks})", part).fetchall()
            yield from rows


def _storable(text: str) -> str:
    """Lone surrogates, which SQLite does not take, become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")
