"""Keeping in step without being asked: after each change of the files, or every so often.

A run that fails is told and tried again, with growing pauses; nothing but a signal ends the watch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reindex.corpus.sources import FileSource
from reindex.errors import (
    ConfigError,
    DataError,
    MissingExtra,
    TooManyBadRows,
    TooManyDeletes,
)
from reindex.protocols import DocumentSource
from reindex.stages.syncing import Synced

SETTLE_S = 0.5
"""Files are quiet for so long before they are read: a copy may still be on its way."""

POLL_S = 60.0
"""Between two runs over a source that cannot say that it changed, unless told otherwise."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 300.0
"""After a run that failed; each further one doubles the pause."""

_HOPELESS = (ConfigError, TooManyBadRows, TooManyDeletes)
"""Trying again helps only after something has changed."""


@dataclass(frozen=True, slots=True)
class Round:
    """One run of a watch. ``error`` ended all of it; ``retry_in`` is None where none is due."""

    done: tuple[Synced, ...]
    error: Exception | None
    retry_in: float | None

    @property
    def errors(self) -> list[Exception]:
        """Everything that went wrong."""
        failed: list[Exception] = [item.error for item in self.done if item.error is not None]
        return failed if self.error is None else [self.error, *failed]

    @property
    def changed(self) -> int:
        """Points written or deleted, in all collections."""
        return sum(item.changed for item in self.done)


def watch(
    run: Callable[[], Sequence[Synced]],
    source: DocumentSource,
    *,
    interval: float | None = None,
    tell: Callable[[Round], None],
    stop: threading.Event,
) -> None:
    """Run now, and again whenever the source has changed, until ``stop`` or a KeyboardInterrupt.

    Args:
        run: one sync; it opens and closes what it needs, so that nothing is held in between.
        source: what is followed. Files say when they change; others are asked every ``interval``.
        interval: seconds between two runs in any case; None: only where there is no other way.
        tell: gets every round.
        stop: ends the watch within a second, or after the run that is going on.

    Raises:
        DataError: the source's folder is not there at the start.
        MissingExtra: files, and watchfiles is not installed.
    """
    files = source if isinstance(source, FileSource) else None
    if files is None and interval is None:
        interval = POLL_S
    ticks = _file_ticks(files, stop) if files is not None else _clock_ticks(stop)
    due, failures = 0.0, 0
    for changed in ticks:
        if not changed and time.monotonic() < due:
            continue
        done = _round(run, failures, interval)
        failures = failures + 1 if done.errors else 0
        due = float("inf") if done.retry_in is None else time.monotonic() + done.retry_in
        tell(done)


def _round(run: Callable[[], Sequence[Synced]], failures: int, interval: float | None) -> Round:
    error: Exception | None = None
    done: tuple[Synced, ...] = ()
    try:
        done = tuple(run())
    except Exception as caught:  # whatever it is, the next run may be luckier
        error = caught
    ended = Round(done, error, interval)
    if not ended.errors or all(isinstance(item, _HOPELESS) for item in ended.errors):
        return ended
    pause = min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S)
    return Round(done, error, pause if interval is None else min(pause, interval))


def _clock_ticks(stop: threading.Event) -> Iterator[bool]:
    """False about twice a second, until ``stop``."""
    yield False
    while not stop.wait(SETTLE_S):
        yield False


def _file_ticks(source: FileSource, stop: threading.Event) -> Iterator[bool]:
    """About twice a second whether files of the source have changed and are quiet again.

    The first tick comes once changes are noticed, so that nothing is missed between a first run
    and the watching. A folder that is replaced by another one is watched anew.
    """
    anew = False
    while not stop.is_set():
        identity = _identity(source.folder)
        if identity is None and anew:  # gone again
            yield from _until_there(source.folder, stop)
            continue
        if identity is None:
            raise DataError(f"There is no folder {source.folder}, which the source names.")
        known = set(_files(source))
        for paths in _changes(source.folder, stop):
            found = set(_files(source))
            # What is made in a new folder before that is watched is not told: hence the lists.
            yield anew or found != known or not paths.isdisjoint(found)
            known, anew = found, False
            if _identity(source.folder) != identity:
                break
        yield from _until_there(source.folder, stop)
        anew = True  # told once the new folder is watched, so that nothing is missed in between


def _changes(folder: Path, stop: threading.Event) -> Iterator[set[Path]]:
    """The paths that changed, once nothing has changed for SETTLE_S; empty if nothing did."""
    try:
        from watchfiles import watch as follow
    except ImportError:
        raise MissingExtra("watch", "watchfiles") from None
    settle = int(SETTLE_S * 1000)
    for changes in follow(
        folder,
        watch_filter=None,
        debounce=10 * 60 * 1000,
        step=settle,
        rust_timeout=settle,
        stop_event=stop,
        yield_on_timeout=True,
    ):
        yield {Path(path) for _, path in changes}


def _until_there(folder: Path, stop: threading.Event) -> Iterator[bool]:
    """Wait for a folder that went away."""
    while _identity(folder) is None and not stop.wait(SETTLE_S):
        yield False


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        stat = folder.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _files(source: FileSource) -> list[Path]:
    try:
        return source.files()
    except DataError:
        return []
