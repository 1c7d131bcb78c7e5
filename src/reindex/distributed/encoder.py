"""One encoder per actor; texts go to whichever actor is free."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from reindex.distributed.failures import last_line, raised_there
from reindex.errors import BuildError, SpaceMismatch
from reindex.protocols import Encoder
from reindex.records import Vector

logger = logging.getLogger(__name__)

CHUNK = 32
"""Texts per call: long against the cost of a call (a millisecond), short against a lost one."""
AHEAD = 2
"""Calls per worker at a time: one runs while the next one travels."""
TURNS = 8
"""Calls per worker and batch: the last ones leave an eighth of a worker's time idle at most."""
PATIENCE = 300.0
"""Seconds without a single worker before the run gives up."""

Identity = tuple[str, str, int]


class EncoderActor:
    """Holds an encoder on a worker; loads it when first asked, after a restart again."""

    def __init__(self, make: Callable[[int], Encoder], threads: int) -> None:
        self._make, self._threads = make, threads

    @cached_property
    def _encoder(self) -> Encoder:
        return self._make(self._threads)

    def identity(self) -> Identity:
        """Space, encoding and dimension; loads the encoder."""
        return self._encoder.space, self._encoder.encoding, self._encoder.dim

    def encode(self, texts: list[str]) -> Vector:
        """``(n, dim)`` float32."""
        return self._encoder.encode_documents(texts)


class PooledEncoder:
    """Implements ``protocols.BulkEncoder`` on a pool of actors. For one calling thread.

    A call that dies with its worker or machine goes to another one; Ray starts the worker again
    where there is room, and it is used again once it has loaded its encoder.

    Args:
        make: loads an encoder on a worker.
        local: what the workers' encoders must be, and what embeds queries.
        workers, cpus: how many actors, and how many cores each reserves.
    """

    def __init__(
        self, make: Callable[[int], Encoder], local: Encoder, workers: int, cpus: int
    ) -> None:
        self._make, self._local = make, local
        self.workers, self._cpus = workers, cpus
        self._actors: list[Any] = []
        self._idle: deque[Any] = deque()
        self._loading: dict[Any, Any] = {}
        self.lost = 0

    @property
    def space(self) -> str:
        """Of the version."""
        return self._local.space

    @property
    def encoding(self) -> str:
        """Of the graph that the workers use."""
        return self._local.encoding

    @property
    def dim(self) -> int:
        """Full dimension."""
        return self._local.dim

    @property
    def batch_size(self) -> int:
        """Texts that keep all workers busy for a while."""
        return self.workers * CHUNK * TURNS

    def start(self) -> None:
        """Start the actors and wait for the first.

        Raises:
            BuildError: none came up.
            SpaceMismatch: a worker has another artifact.
            ReindexError: whatever loading the encoder raises there.
        """
        import ray

        start = ray.remote(max_restarts=-1, max_task_retries=0, num_cpus=self._cpus)(
            EncoderActor
        ).remote
        self._actors = [start(self._make, self._cpus) for _ in range(self.workers)]
        for actor in self._actors * AHEAD:
            self._load(actor)
        self._wait_for_one()

    def close(self) -> None:
        """End the actors."""
        import ray

        while self._actors:
            ray.kill(self._actors.pop())
        self._idle.clear()
        self._loading.clear()

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """In this process."""
        return self._local.encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given.

        Raises:
            BuildError: all workers are gone and none came back.
            Exception: whatever the encoder raises on a worker.
        """
        import ray

        out = np.empty((len(texts), self.dim), np.float32)
        waiting = deque(range(0, len(texts), CHUNK))
        running: dict[Any, tuple[Any, int]] = {}
        while waiting or running:
            self._take_loaded()
            if not (self._idle or running):
                self._wait_for_one()
            while waiting and self._idle:
                actor, start = self._idle.popleft(), waiting.popleft()
                call = actor.encode.remote(list(texts[start : start + CHUNK]))
                running[call] = (actor, start)
            done, _ = ray.wait(list(running), timeout=1.0)
            for call in done:
                actor, start = running.pop(call)
                rows = self._result(call, actor)
                if rows is None:
                    waiting.appendleft(start)
                else:
                    out[start : start + CHUNK] = rows
        return out

    def _result(self, call: Any, actor: Any) -> Vector | None:
        """The vectors, or None where they were lost with their worker or machine."""
        import ray

        try:
            rows: Vector = ray.get(call)
        except ray.exceptions.RayTaskError as error:
            raise raised_there(error, "embedding") from error
        except ray.exceptions.RayError as error:
            self.lost += 1
            logger.warning("a worker was lost, its texts go to another: %s", last_line(error))
            self._load(actor)
            return None
        self._idle.append(actor)
        return rows

    def _load(self, actor: Any) -> None:
        """Give the actor one more call at a time once it says who it is."""
        self._loading[actor.identity.remote()] = actor

    def _take_loaded(self, timeout: float = 0.0) -> None:
        import ray

        if not self._loading:
            return
        done, _ = ray.wait(list(self._loading), timeout=timeout)
        for call in done:
            actor = self._loading.pop(call)
            try:
                found: Identity = ray.get(call)
            except ray.exceptions.RayTaskError as error:
                raise raised_there(error, "embedding") from error
            except ray.exceptions.RayError:
                self._load(actor)  # it died again, or is not back yet
                continue
            self._check(found)
            self._idle.append(actor)

    def _wait_for_one(self) -> None:
        until = time.monotonic() + PATIENCE
        while not self._idle:
            if time.monotonic() > until:
                raise BuildError(
                    f"no worker of the cluster was there for {PATIENCE:.0f} s; each wants "
                    f"{self._cpus} cores. What was done is kept; run the build again once there "
                    "are machines."
                )
            self._take_loaded(timeout=1.0)

    def _check(self, found: Identity) -> None:
        expected = (self.space, self.encoding, self.dim)
        if found != expected:
            raise SpaceMismatch(
                f"a worker's encoder is (space, encoding, dimension) {found}; expected {expected}. "
                "Every machine must see the same artifact."
            )
