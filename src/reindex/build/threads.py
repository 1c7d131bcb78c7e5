"""Threads that work at the same time and end together.

A `Channel` is a bounded queue that can be finished (the reader drains it) or aborted (both sides
stop at once). `Stages` runs functions in threads around the calling thread: the first error in
any of them stops all, and is raised in the calling thread once every thread has ended.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The channel was aborted: the stage ends without an error of its own."""


class Channel(Generic[T]):
    """A bounded first-in-first-out queue between two threads."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._aborted = False

    def put(self, item: T) -> None:
        """Wait for room, then append. Raises Stopped once aborted or finished."""
        with self._changed:
            while len(self._items) >= self._size and not (self._aborted or self._finished):
                self._changed.wait()
            if self._aborted or self._finished:
                raise Stopped
            self._items.append(item)
            self._changed.notify_all()

    def fill(self, items: Iterable[T]) -> None:
        """Put all items, then finish. Raises Stopped once aborted."""
        for item in items:
            self.put(item)
        self.finish()

    def __iter__(self) -> Iterator[T]:
        """Items until finished and drained. Raises Stopped once aborted."""
        while True:
            with self._changed:
                while not (self._items or self._finished or self._aborted):
                    self._changed.wait()
                if self._aborted:
                    raise Stopped
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def finish(self) -> None:
        """No more items will come; those that wait are still read."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Drop what waits and stop both sides."""
        with self._changed:
            self._aborted = True
            self._items.clear()
            self._changed.notify_all()


class Stages:
    """Context of threads that end together; nothing is left running when it is left."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._channels: list[Channel[object]] = []
        self._kept: list[Channel[object]] = []
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether some stage has failed, so that the others should end."""
        return self._error is not None

    def attach(self, channel: Channel[T], *, drain: bool = False) -> Channel[T]:
        """Abort ``channel`` when a stage fails; with ``drain`` its reader still empties it,
        unless the reader itself is what failed.
        """
        (self._kept if drain else self._channels).append(channel)  # type: ignore[arg-type]
        return channel

    def start(
        self, name: str, work: Callable[[], None], *, reads: Channel[T] | None = None
    ) -> None:
        """Run ``work`` in a thread; ``reads`` is aborted if it fails, so that writers stop too."""
        thread = threading.Thread(target=self._run, args=(work, reads), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self, work: Callable[[], None], reads: Channel[T] | None) -> None:
        try:
            work()
        except Stopped:
            pass
        except BaseException as error:
            if reads is not None:
                reads.abort()
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None:
                self._error = error
        for channel in self._channels:
            channel.abort()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, Stopped):
            self._fail(error)
        for channel in self._kept:
            channel.finish()
        for thread in self._threads:
            thread.join()
        if self._error is not None and self._error is not error:
            raise self._error from None
