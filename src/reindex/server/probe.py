"""Whether the store answers: asked by readiness and metrics, which must not wait for long."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from reindex.errors import StoreError
from reindex.project import Project

WITHIN_S = 2.0
"""Seconds that a probe waits. A server store tries again for longer before it gives up."""


class StoreProbe:
    """Asks what is live, once at a time however many want to know."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._pool = ThreadPoolExecutor(1, "probe")
        self._asked: Future[str | None] | None = None
        self._lock = threading.Lock()

    def live_collection(self) -> str | None:
        """What the alias points at.

        Raises:
            StoreError: the store failed, or has not answered within `WITHIN_S`.
        """
        if self._project.store.local:
            return self._project.live_collection()
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = self._pool.submit(self._project.live_collection)
            asked = self._asked
        try:
            return asked.result(WITHIN_S)
        except TimeoutError:
            raise StoreError(f"The store has not answered within {WITHIN_S:g} s.") from None

    def close(self) -> None:
        """Wait for nothing."""
        self._pool.shutdown(wait=False, cancel_futures=True)
