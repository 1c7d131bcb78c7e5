"""Progress on stderr: bars with rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

QUIET_SECONDS = 10.0
"""Between two lines of one stage where stderr is no terminal."""


class _Rate(ProgressColumn):
    """Units per second."""

    def render(self, task: Task) -> Text:
        """``157/s`` once there is something to tell."""
        speed = task.finished_speed or task.speed
        return Text(_per_second(speed) if speed else "", style="cyan")


class ProgressBars:
    """Implements `reindex.protocols.Progress`; a context manager around a command."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal
        self._progress: Progress | None = None
        self._tasks: dict[str, int] = {}
        self._started: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Stop drawing, so that something else can be printed; the next call starts again."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Show how far a stage is."""
        if self._live:
            self._draw(stage, done, total)
        else:
            self._print(stage, done, total)

    def _draw(self, stage: str, done: int, total: int | None) -> None:
        if self._progress is None:
            self._progress = Progress(
                SpinnerColumn(), TextColumn("{task.description:<12}"), BarColumn(),
                MofNCompleteColumn(), _Rate(), TimeElapsedColumn(), TextColumn("left"),
                TimeRemainingColumn(), console=self._console,
            )  # fmt: skip
            self._progress.start()
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=total)  # type: ignore[arg-type]

    def _print(self, stage: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        started = self._started.setdefault(stage, now)
        finished = total is not None and done >= total
        if not finished and now - self._last.get(stage, started) < QUIET_SECONDS:
            return
        if finished and self._last.get(stage) == float("inf"):
            return
        self._last[stage] = float("inf") if finished else now
        of = f" of {total:,}" if total is not None else ""
        pace = _pace(done, total, now - started)
        print(f"{stage}: {done:,}{of}{pace}", file=sys.stderr, flush=True)


def _pace(done: int, total: int | None, seconds: float) -> str:
    """``, 157/s, 2 min left``, as far as it can be told."""
    if not done or seconds <= 0:
        return ""
    rate = done / seconds
    left = (total - done) / rate if total is not None else 0
    shown = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
    return f", {_per_second(rate)}" + (f", {shown} left" if left else "")


def _per_second(rate: float) -> str:
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.2g}/s"
