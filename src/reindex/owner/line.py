"""A lasting line to whoever owns the project, for many short jobs from many threads."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Mapping
from typing import Any

from reindex.errors import OwnerGone
from reindex.owner.client import Connection
from reindex.plain import to_plain
from reindex.workspace import Workspace

_LOOK_S = 0.05
"""Between two looks for a new owner."""


class OwnerLine:
    """Keeps connections to the owner, and finds the next one where one has ended. Thread-safe."""

    def __init__(self, workspace: Workspace, *, wait: float = 0.0) -> None:
        """``wait``: seconds to wait for an owner where there is none."""
        self._workspace, self._wait = workspace, wait
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        workspace.at_close(self.close)

    def ask(self, job: str, arguments: Mapping[str, Any]) -> Any:
        """The result of a job, as JSON types.

        A job that meets the end of its owner is asked again of the next one, so it must be one
        that may be done twice.

        Raises:
            OwnerGone: the owner has ended, and there is no other.
        """
        request = {"job": job, "arguments": to_plain(arguments)}
        began = time.monotonic()
        for asked in itertools.count(1):
            try:
                return self._ask_once(request)
            except OwnerGone:
                self.close()  # these lines were to an owner that has ended
                if asked > 1 and time.monotonic() - began >= self._patience():
                    raise
                time.sleep(_LOOK_S)
        raise AssertionError("counting has no end")

    def _patience(self) -> float:
        """Seconds to wait for the next owner; one that is there may just be ending."""
        if self._workspace.other_owner() is None:
            return self._wait
        return self._workspace.settings.owner.answer_timeout

    def close(self) -> None:
        """Hang up; a later job connects again."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _ask_once(self, request: Mapping[str, Any]) -> Any:
        connection = self._connection()
        try:
            found = connection.ask(request)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return found

    def _connection(self) -> Connection:
        with self._lock, contextlib.suppress(IndexError):
            return self._idle.pop()
        owner = self._workspace.other_owner()
        if owner is None:
            raise OwnerGone(
                "The process that owned this project has ended, and no other does yet. Start one "
                "(reindex own) and try again, or open the project again to work without one."
            )
        return Connection(owner, self._workspace.settings.owner.answer_timeout)
