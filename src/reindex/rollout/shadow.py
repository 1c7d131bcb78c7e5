"""Work beside the answers: one thread, a short queue, and nothing that anybody waits for."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)

WAITING = 16
"""Shadow searches that may wait; while so many do, further ones are left out."""


class Shadow:
    """Does what it is given, one after another, in a thread that starts with the first."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Callable[[], None]] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.left_out = 0
        """How many were not done because too many waited."""

    def submit(self, work: Callable[[], None]) -> None:
        """Have it done some time, or not at all; returns at once."""
        try:
            self._queue.put_nowait(work)
        except queue.Full:
            self.left_out += 1
            return
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def wait(self) -> None:
        """Wait until everything is done that was taken on."""
        self._queue.join()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name="reindex-shadow", daemon=True
                )
                self._thread.start()

    def _run(self) -> None:
        while True:
            work = self._queue.get()
            try:
                work()
            except Exception as error:  # nobody asked for the result
                logger.warning("A shadow search failed: %r", error)
            finally:
                self._queue.task_done()
