"""The workers of a build: an encoder each, and where they write themselves, a store."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from reindex.build.hand import Done, Hand, Orders, Unit
from reindex.distributed.failures import cause_of
from reindex.distributed.pool import AHEAD, Pool
from reindex.errors import SpaceMismatch
from reindex.protocols import DocumentSource, Encoder, Store
from reindex.records import Vector

CHUNK = 32
"""Texts per call: long against the cost of a call (a millisecond), short against a lost one."""
TURNS = 8
"""Calls per worker and batch: the last ones leave an eighth of a worker's time idle at most."""
UNIT = 128
"""Documents per call where workers write: five requests to the store each."""

Identity = tuple[str, str, int]


class EncoderActor:
    """Holds an encoder on a worker; loads it when first asked, after a restart again.

    Its calls run in `AHEAD` threads: one embeds while another looks up or writes.
    """

    def __init__(self, make: Callable[[int], Encoder], threads: int) -> None:
        self._make, self._threads = make, threads
        self._embedding, self._loading = threading.Lock(), threading.Lock()

    @cached_property
    def _loaded(self) -> Encoder:
        return self._make(self._threads)

    @property
    def _encoder(self) -> Encoder:
        with self._loading:
            return self._loaded

    def identity(self) -> Identity:
        """Space, encoding and dimension; loads the encoder."""
        return self._encoder.space, self._encoder.encoding, self._encoder.dim

    def encode(self, texts: list[str]) -> Vector:
        """``(n, dim)`` float32."""
        encoder = self._encoder
        with self._embedding:
            return encoder.encode_documents(texts)

    def work(self, job: bytes, unit: Unit) -> Done:
        """Do a unit of a pickled `Job`, with clients of this process's own."""
        encoder = self._encoder
        orders, source, store = _opened(job)
        return Hand(orders, source, _InTurn(encoder, self._embedding), store).work(unit)


Job = tuple[Orders, Callable[[], DocumentSource] | None, Callable[[], Store]]
"""Orders, and what opens source and store on a worker."""

_opening = threading.Lock()


def _opened(job: bytes) -> tuple[Orders, DocumentSource | None, Store]:
    with _opening:  # else two threads open it twice
        return _open(job)


@lru_cache(maxsize=1)
def _open(job: bytes) -> tuple[Orders, DocumentSource | None, Store]:
    orders, source, store = pickle.loads(job)  # noqa: S301 (our own)
    return orders, source and source(), store()


class _InTurn:
    """An encoder that is used by one thread at a time."""

    def __init__(self, encoder: Encoder, lock: threading.Lock) -> None:
        self._encoder, self._lock = encoder, lock
        self.space, self.encoding, self.dim = encoder.space, encoder.encoding, encoder.dim
        self.encode_queries = encoder.encode_queries

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        with self._lock:
            return self._encoder.encode_documents(texts)


class PooledEncoder:
    """Implements ``protocols.BulkEncoder`` on a pool of actors. For one calling thread.

    Args:
        make: loads an encoder on a worker.
        local: what the workers' encoders must be, and what embeds queries.
        workers, cpus: how many actors, and how many cores each reserves.
    """

    def __init__(
        self, make: Callable[[int], Encoder], local: Encoder, workers: int, cpus: int
    ) -> None:
        self._make, self._local, self._cpus = make, local, cpus
        self.pool = Pool(self._start, self._check, workers, f"{cpus} cores")

    @property
    def workers(self) -> int:
        """How many there are."""
        return self.pool.workers

    @property
    def lost(self) -> int:
        """Calls that died with their worker."""
        return self.pool.lost

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
        self.pool.start()

    def close(self) -> None:
        """End the actors."""
        self.pool.close()

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """In this process."""
        return self._local.encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given.

        Raises:
            BuildError: all workers are gone and none came back.
            Exception: whatever the encoder raises on a worker.
        """
        out = np.empty((len(texts), self.dim), np.float32)

        def call(actor: Any, start: int) -> Any:
            return actor.encode.remote(list(texts[start : start + CHUNK]))

        starts: Iterator[int | None] = iter(range(0, len(texts), CHUNK))
        for start, rows in self.pool.each(starts, call, doing="embedding", raised=cause_of):
            out[start : start + CHUNK] = rows
        return out

    def _start(self) -> Any:
        import ray

        options = {"max_restarts": -1, "max_task_retries": 0, "num_cpus": self._cpus}
        actor = ray.remote(max_concurrency=AHEAD, **options)(EncoderActor)
        return actor.remote(self._make, self._cpus)

    def _check(self, found: Identity) -> None:
        expected = (self.space, self.encoding, self.dim)
        if found != expected:
            raise SpaceMismatch(
                f"a worker's encoder is (space, encoding, dimension) {found}; expected {expected}. "
                "Every machine must see the same artifact."
            )
