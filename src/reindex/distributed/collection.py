"""A server's collection as the source, its slices read on the cluster."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from reindex.corpus.collection import CollectionSource, Page
from reindex.distributed.failures import raised_there
from reindex.protocols import DeadLetterSink
from reindex.records import Document, PointId, PointSlice

STEP = 4_000
"""Points per task: long against its cost, little to be read again where a machine is lost."""
TRIES = 10
"""How often a step is begun again after its process or machine was lost."""

Opener = Callable[[], CollectionSource]


class SlicedCollection:
    """Implements ``protocols.CopiedSource``: the same documents and dead letters as its collection
    read page by page, in no order, from any number of machines that reach the server.

    A slice is read in steps that begin where the one before ended. Each is a task that gives all
    or nothing, so a step that is lost with its machine is done again without a point lost or
    doubled, also while others write.
    """

    def __init__(self, source: CollectionSource, opener: Opener, slices: int) -> None:
        self._source, self.opener, self._slices = source, opener, slices
        self.mirror = source.mirror
        self.reading = ""

    @property
    def name(self) -> str:
        """The collection's own."""
        return self._source.name

    def count(self) -> int | None:
        """The collection's own."""
        return self._source.count()

    def current(self, ids: Sequence[int | str]) -> Mapping[int | str, Document | None]:
        """The collection's own."""
        return self._source.current(ids)

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        """Stream all documents; points without a text go to ``dead``."""
        parts = self._source.slices(self._slices)
        self.reading = f"{len(parts):,} slices"
        for page in _read(pickle.dumps(self.opener), parts):
            yield from self._source.usable(page, dead)


def _read(opener: bytes, parts: Sequence[PointSlice]) -> Iterator[Page]:
    """The pages of all parts, one step of each at a time.

    The tasks reserve no cores: those belong to the encoders, and reading takes a small share.
    """
    import ray

    step = ray.remote(num_cpus=0, max_retries=TRIES)(_step)
    waiting: deque[tuple[PointSlice, PointId | None]] = deque((part, None) for part in parts)
    running: dict[Any, PointSlice] = {}
    while waiting or running:
        while waiting:
            part, after = waiting.popleft()
            running[step.remote(opener, part, after)] = part
        [call], _ = ray.wait(list(running), num_returns=1)
        part = running.pop(call)
        try:
            page, after = ray.get(call)
        except ray.exceptions.RayError as error:
            raise raised_there(error, "reading the source") from error
        if after is not None:
            waiting.append((part, after))
        yield page


def _step(opener: bytes, part: PointSlice, after: PointId | None) -> tuple[Page, PointId | None]:
    return _opened(opener).read(part, after, STEP)


@lru_cache(maxsize=1)
def _opened(opener: bytes) -> CollectionSource:
    """The source with a client of this process's own, which later steps find open."""
    source: CollectionSource = pickle.loads(opener)()  # noqa: S301 (our own)
    return source
