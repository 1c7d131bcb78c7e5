"""One job within the owner: it runs in a thread, and others watch it and may stop it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reindex.config import Settings
from reindex.errors import OwnerError, RunStopped
from reindex.owner.jobs import Kind
from reindex.owner.wire import encode, error_event
from reindex.plain import to_plain
from reindex.registry.file import now
from reindex.workspace import Workspace

_FIXED = ("project", "store", "qdrant")
"""Sections of the settings that the owner opened the project with."""


class Job:
    """What was asked, by whom, and how far it is."""

    def __init__(
        self, number: int, kind: Kind, request: Mapping[str, Any], asked_by: int,
        recorded: int | None = None,
    ) -> None:  # fmt: skip
        """``recorded``: its number in the registry, where it was asked for over HTTP."""
        self.number, self.kind, self.asked_by, self.recorded = number, kind, asked_by, recorded
        self.given: dict[str, Any] = request.get("arguments") or {}
        self._settings = request.get("settings")
        self.since = now()
        self.running = False
        self.outcome = "stopped before it began"
        self._ending: RunStopped | None = None
        self._view: Workspace | None = None
        self._news: dict[str, tuple[int, int | None]] = {}
        self._lock = threading.Lock()

    def __str__(self) -> str:
        shown = " ".join(str(value) for value in self.given.values() if isinstance(value, str))
        return f"job {self.number} ({self.kind.name}{' ' + shown if shown else ''})"

    def as_dict(self) -> dict[str, Any]:
        """For `reindex jobs`."""
        shown = {name: value for name, value in self.given.items() if _is_short(value)}
        return {
            "job": self.number, "kind": self.kind.name, "arguments": shown,
            "state": "running" if self.running else "waiting", "pid": self.asked_by,
            "since": self.since,
        }  # fmt: skip

    def run(self, workspace: Workspace) -> bytes:
        """Do it, in this thread; the line that says how it ended."""
        try:
            return encode({"event": "result", "value": to_plain(self.do(workspace))})
        except BaseException as error:
            return encode(error_event(error))

    def do(self, workspace: Workspace) -> Any:
        """Do it, in this thread; its result, or what it raises."""
        self.since, self.running = now(), True
        try:
            with workspace.view(self._read_settings(workspace), self._progress) as view:
                self._view, view.job = view, self.recorded
                self._end_if_told()
                # over HTTP, another process may be the owner
                work = self.kind.run if self.recorded is None else self.kind.call
                value = work(view, **self.kind.arguments(self.given))
            self.outcome = "done"
            return value
        except BaseException as error:
            self.outcome = f"{type(error).__name__}: {error}"
            raise
        finally:
            if self.kind.lane != "aside":  # for short ones, this thread's connection is kept
                workspace.registry.close()

    def stop(self, why: RunStopped) -> None:
        """Let it end where it next asks or tells how far it is, with everything kept."""
        self._ending = why
        if self._view is not None:
            self._view.ending = self._ending

    def news(self) -> list[dict[str, Any]]:
        """Progress since the last time that this was asked, the latest of each stage."""
        with self._lock:
            found, self._news = self._news, {}
        return [
            {"event": "progress", "stage": stage, "done": done, "total": total}
            for stage, (done, total) in found.items()
        ]

    def _progress(self, stage: str, done: int, total: int | None) -> None:
        with self._lock:
            self._news[stage] = (done, total)
        self._end_if_told()

    def _end_if_told(self) -> None:
        if self._ending is not None:
            raise self._ending

    def _read_settings(self, workspace: Workspace) -> Settings:
        """The asker's settings, which must be of the project that is open here."""
        if self._settings is None:
            return workspace.settings
        found = Settings.model_validate({**self._settings, "root": Path(self._settings["root"])})
        own = workspace.settings
        for section in _FIXED:
            if getattr(found, section) != getattr(own, section) or found.home != own.home:
                raise OwnerError(
                    f"[{section}] in reindex.toml is not what the owner was started with. End it "
                    "and start it again, so that it reads the file."
                )
        return found


def _is_short(value: Any) -> bool:
    """Whether an argument is one to show: a batch of writes is none."""
    return value is None or (isinstance(value, str | int | float) and len(str(value)) <= 200)
