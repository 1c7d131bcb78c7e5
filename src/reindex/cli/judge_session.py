"""One result at a time on the terminal, a key for each grade."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import click

from reindex.corpus.pools import Answers, PooledDocument, PooledQuery, by_hand

LINES = 12
"""Lines of a document that are shown before `m` is pressed."""
GRADES = {
    1: ("not relevant", "relevant"),
    2: ("not relevant", "partly relevant", "relevant"),
    3: ("not relevant", "touches on it", "relevant", "exactly what was asked for"),
}
Item = tuple[PooledQuery, PooledDocument]


def key_reader() -> Callable[[], str]:
    """Reads one key: from the terminal at once, else from stdin; an empty one is its end."""
    return _key if sys.stdin.isatty() else _typed


def _key() -> str:
    try:
        return click.getchar()
    except (EOFError, KeyboardInterrupt):  # Ctrl-D and Ctrl-C quit; everything is saved
        return "q"


def _typed() -> str:
    key = sys.stdin.read(1)
    while key and key.isspace():
        key = sys.stdin.read(1)
    return key


class Session:
    """Goes through what is not judged yet. ``left`` is how many results have no answer."""

    def __init__(
        self, queries: Sequence[PooledQuery], answers: Answers, max_grade: int,
        read_key: Callable[[], str], *, quiet: bool = False,
    ) -> None:  # fmt: skip
        self._answers, self._max, self._read_key, self._quiet = answers, max_grade, read_key, quiet
        self._items = {(q.id, d.id): (q, d) for q in queries for d in q.documents}
        for query in queries:
            for id, grade in (query.judged | by_hand(query)).items():
                if (query.id, id) not in answers.given:
                    answers.give(query.id, id, grade)
        self._waiting = deque(self._open(self._items))

    @property
    def left(self) -> int:
        """Results without an answer."""
        return sum(pair not in self._answers.given for pair in self._items)

    def _open(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        return [pair for pair in pairs if pair not in self._answers.given]

    def run(self) -> None:
        """Ask until everything is judged, or until somebody quits or the input ends."""
        if self._waiting:
            self._say(_keys(self._max))
        while self._waiting:
            self._show(self._waiting[0], whole=False)
            if not self._answer():
                return

    def _answer(self) -> bool:
        """Take one answer to what is shown. False: quit."""
        while True:
            key = self._read_key().lower()
            if key in ("", "q", "\x03", "\x04"):
                return False
            if key.isdecimal() and int(key) <= self._max:
                pair = self._waiting.popleft()
                self._answers.give(*pair, int(key))
                self._say(f"    {key}: {_label(int(key), self._max)}")
                return True
            if key == "s":
                self._waiting.rotate(-1)
                self._say("    skipped; it comes again at the end")
                return True
            if key == "u":
                self._undo()
                return True
            self._help(key)

    def _undo(self) -> None:
        pair = self._answers.last
        if pair is None or pair not in self._items:  # what was known before stays
            self._say("    there is nothing to undo")
            return
        self._answers.undo()
        self._waiting.appendleft(pair)
        self._say("    taken back")

    def _help(self, key: str) -> None:
        if key == "m":
            self._show(self._waiting[0], whole=True)
        else:
            self._say(f"    {key!r} is no key here. {_keys(self._max)}")

    def _show(self, pair: tuple[str, str], *, whole: bool) -> None:
        query, document = self._items[pair]
        done, of = len(self._items) - self.left, len(self._items)
        self._say("")
        self._say(click.style(f"[{done + 1}/{of}] {_clean(query.text)}", bold=True))
        if document.title:
            self._say(click.style(f"  {_clean(document.title)}", underline=True))
        lines = _wrapped(document.text)
        for line in lines if whole else lines[:LINES]:
            self._say(f"  {line}")
        if not whole and len(lines) > LINES:
            self._say(click.style(f"  … {len(lines) - LINES} more lines (m)", dim=True))

    def _say(self, text: str) -> None:
        click.echo(text, err=self._quiet)


def _wrapped(text: str) -> list[str]:
    width = min(shutil.get_terminal_size().columns, 100) - 4
    parts = [textwrap.wrap(_clean(part), max(width, 20)) for part in text.splitlines()]
    return [line for part in parts for line in part] or ["(no text)"]


def _clean(text: str) -> str:
    """Without control characters: a document must not move the cursor or set colours."""
    return "".join(mark if mark.isprintable() else " " for mark in text)


def _label(grade: int, most: int) -> str:
    if most in GRADES:
        return GRADES[most][grade]
    return "not relevant" if grade == 0 else f"grade {grade} of {most}"


def _keys(most: int) -> str:
    grades = " · ".join(f"{grade} {_label(grade, most)}" for grade in range(most + 1))
    return f"{grades} · u undo · s skip · m more · q quit"
