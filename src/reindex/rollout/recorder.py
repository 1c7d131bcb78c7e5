"""Recording beside the searches: rows are queued, and a thread writes them about once a second.

Nothing here raises into a search or makes one wait: what cannot be kept up with or written is
counted in `Recorder.lost` and logged once.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from reindex.config import RolloutSettings
from reindex.errors import ConfigError
from reindex.registry.interactions import Feedback, Interactions, Search

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
QUEUED = 20_000
"""Rows that may wait to be written; more are lost."""

PATIENCE_S = 60.0
"""Feedback waits so long for its search, which another process may not have written yet."""

PRUNE_EVERY_S = 3600.0

Redact = Callable[[str], str | None]


def load_redact(name: str) -> Redact | None:
    """The function that ``module:function`` names. Raises ConfigError where there is none."""
    if not name:
        return None
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"[rollout] redact = {name!r} cannot be loaded: {error}. Expected module:function that "
            "can be imported where the searches run."
        ) from error
    if not callable(found):
        raise ConfigError(f"[rollout] redact = {name!r} is no function.")
    redact: Redact = found
    return redact


class Recorder:
    """Writes searches and feedback to a project's interactions. Thread-safe."""

    def __init__(self, path: Path, settings: RolloutSettings) -> None:
        """The file is made at the first row. Raises ConfigError: `redact` cannot be loaded."""
        self._path, self._settings = path, settings
        self._redact = load_redact(settings.redact)
        self._rows: deque[Search | Feedback] = deque()
        self._waiting: list[Feedback] = []
        self._lock = threading.Lock()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._pruned_at = float("-inf")
        self._told = False
        self.lost = 0

    @property
    def on(self) -> bool:
        """Whether searches are recorded at all."""
        return self._settings.record_searches

    def put(self, row: Search | Feedback) -> None:
        """Queue a row."""
        if len(self._rows) >= QUEUED:
            self.lost += 1
            return
        self._rows.append(row)
        if self._thread is None or self._pid != os.getpid():
            self._start()

    def flush(self) -> None:
        """Write what is queued now, in this thread. Feedback without its search stays queued."""
        with self._lock:
            self._write()

    def prune(self) -> int:
        """Forget now what is past its time or one too many; returns how many searches."""
        if not self._path.exists():
            return 0
        with self._lock, closing(Interactions(self._path)) as interactions:
            return self._prune(interactions)

    def close(self) -> None:
        """Write what is queued and end the thread; a later row starts it again."""
        thread, self._thread = self._thread, None
        if thread is not None and self._pid == os.getpid():
            self._ended.set()
            self._wake.set()
            thread.join()
        if self._rows or self._waiting:
            self.flush()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None and self._pid == os.getpid():
                return
            self._pid, self._ended, self._wake = os.getpid(), threading.Event(), threading.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._ended, self._wake), name="reindex-record", daemon=True
            )
            self._thread.start()

    def _run(self, ended: threading.Event, wake: threading.Event) -> None:
        while not ended.is_set():
            wake.wait(WRITE_EVERY_S)
            if self._rows or self._waiting:
                self.flush()

    def _write(self) -> None:
        searches: list[Search] = []
        feedback, self._waiting = self._waiting, []
        while self._rows:
            row = self._rows.popleft()
            if isinstance(row, Search):
                searches.append(row)
            else:
                feedback.append(row)
        try:
            self._add([self._ready(item) for item in searches], feedback)
        except Exception as error:  # a full disk, a damaged file: searching goes on
            self.lost += len(searches) + len(feedback)
            if not self._told:
                logger.warning("Searches cannot be recorded in %s: %s", self._path, error)
            self._told = True

    def _add(self, searches: list[Search], feedback: list[Feedback]) -> None:
        with closing(Interactions(self._path)) as interactions:
            early = interactions.add(searches, feedback)
            moment = time.time()
            self._waiting = [item for item in early if moment - item.at < PATIENCE_S]
            self.lost += len(early) - len(self._waiting)
            if time.monotonic() - self._pruned_at > PRUNE_EVERY_S:
                self._prune(interactions)

    def _prune(self, interactions: Interactions) -> int:
        self._pruned_at = time.monotonic()
        oldest = time.time() - self._settings.retention_days * 86400
        return interactions.prune(oldest, self._settings.max_searches)

    def _ready(self, search: Search) -> Search:
        """With the text that may be logged, which is often none."""
        if not self._settings.log_queries or search.side == "shadow":
            return search
        return replace(search, logged=self._redacted(search.query))

    def _redacted(self, query: str) -> str | None:
        if self._redact is None:
            return query
        try:
            return self._redact(query)
        except Exception as error:  # better no text than one that should have been redacted
            if not self._told:
                logger.warning("[rollout] redact failed, the query is not logged: %r", error)
            self._told = True
            return None
