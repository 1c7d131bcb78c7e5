"""Whether a canary takes part here: it is read from the registry, and its pair is loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from reindex.registry.canaries import Canary
from reindex.retriever import Lease, Side
from reindex.rollout.assignment import takes_part

AGAIN_S = 10.0
"""Seconds after which a candidate that could not be loaded is tried again."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A canary whose pair is loaded here, so that it takes part."""

    canary: Canary
    lease: Lease

    def side_of(self, key: str) -> Side:
        """What a key's answers count for."""
        if not takes_part(self.canary.experiment, key, self.canary.weight):
            return "live"
        return "candidate" if self.canary.mode == "split" else "interleaved"


class Trials:
    """Follows the canary of one retriever. Thread-safe; nothing here waits but `settle`."""

    def __init__(
        self, read: Callable[[], Canary | None], load: Callable[[str], Lease], *, every: float
    ) -> None:
        """``read``: the canary that runs, asked again after ``every`` seconds; ``load``: the pair
        of a collection.
        """
        self._read, self._load, self._every = read, load, every
        self._canary: Canary | None = None
        self._read_at = float("-inf")
        self._lease: Lease | None = None
        self._loading: threading.Thread | None = None
        self._failed: tuple[int, float] = (0, 0.0)
        self._lock = threading.Lock()
        self.error: str | None = None
        """Why the candidate's pair could not be loaded, or is not there any more."""

    def current(self, live: Lease) -> Trial | None:
        """The canary that runs beside this pair, once its own is loaded; loading begins here."""
        canary = self._running()
        if canary is None or canary.live_collection != live.collection:
            self._lease, self.error = None, None
            return None
        lease = self._lease
        if lease is None or lease.collection != canary.collection:
            self._begin(canary)
            return None
        return Trial(canary, lease)

    def settle(self, live: Lease, timeout: float | None = None) -> None:
        """Read the canary now, and wait until its pair is loaded or could not be."""
        self._read_at = float("-inf")
        self.current(live)
        loading = self._loading
        if loading is not None:
            loading.join(timeout)

    def drop(self, why: str) -> None:
        """Use the pair no more; it is loaded again after a while."""
        self._lease, self.error = None, why
        if self._canary is not None:
            self._failed = self._canary.id, time.monotonic()

    def _running(self) -> Canary | None:
        if time.monotonic() - self._read_at >= self._every:
            with suppress(Exception):  # what was read last counts: no search fails for this
                self._canary = self._read()
                self._read_at = time.monotonic()
        return self._canary

    def _begin(self, canary: Canary) -> None:
        failed, moment = self._failed
        if failed == canary.id and time.monotonic() - moment < AGAIN_S:
            return
        with self._lock:
            if self._loading is None:
                self._loading = threading.Thread(
                    target=self._load_pair, args=(canary,), name="reindex-canary", daemon=True
                )
                self._loading.start()

    def _load_pair(self, canary: Canary) -> None:
        try:
            self._lease, self.error = self._load(canary.collection), None
        except Exception as error:
            self.error = f"The canary {canary.version} is not served: {error}"
            self._failed = canary.id, time.monotonic()
        finally:
            self._loading = None
