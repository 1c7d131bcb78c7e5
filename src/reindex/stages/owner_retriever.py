"""Searching from another process than the owner."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Any

from reindex.errors import OwnerGone, OwnerSilent
from reindex.owner.client import Connection
from reindex.owner.jobs import KINDS
from reindex.records import Condition
from reindex.retriever import Health, Results
from reindex.workspace import Workspace


class OwnerRetriever:
    """Searches like a `Retriever`, in the process that owns the store. Thread-safe.

    A request that meets the end of the owner is asked again, once, of the next one. While there
    is none it raises OwnerGone: to open the store here would keep the next owner from it.
    """

    def __init__(self, workspace: Workspace, version: str | None = None) -> None:
        self._workspace, self._version = workspace, version
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        workspace.at_close(self.close)

    def search(
        self, query: str, k: int = 10, *, offset: int = 0, where: Condition | None = None,
        exact: bool = False,
    ) -> Results:  # fmt: skip
        """As `Retriever.search`."""
        return self.search_many([query], k, offset=offset, where=where, exact=exact)[0]

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, offset: int = 0,
        where: Condition | None = None, exact: bool = False,
    ) -> list[Results]:  # fmt: skip
        """As `Retriever.search_many`."""
        arguments = {
            "queries": list(queries), "k": k, "offset": offset, "where": where, "exact": exact,
            "version": self._version,
        }  # fmt: skip
        found: list[Results] = KINDS["search"].result(self._ask("search", arguments))
        return found

    def wait_until_settled(self, timeout: float | None = None) -> None:
        """Wait until the owner's retriever has noticed every flip so far and loaded its pair."""
        self._ask("settle", {"version": self._version, "timeout": timeout})

    def health(self) -> Health:
        """``ready`` where the owner answers."""
        try:
            self._ask("jobs", {})
        except (OwnerGone, OwnerSilent):
            return "not ready"
        return "ready"

    def close(self) -> None:
        """Hang up; a later search connects again."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _ask(self, job: str, arguments: dict[str, Any]) -> Any:
        try:
            return self._ask_once(job, arguments)
        except OwnerGone:  # this line was to an owner that has ended
            self.close()
            return self._ask_once(job, arguments)

    def _ask_once(self, job: str, arguments: dict[str, Any]) -> Any:
        connection = self._connection()
        try:
            found = connection.ask({"job": job, "arguments": arguments})
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
                "(reindex own) and search again, or open a new retriever to search in here."
            )
        return Connection(owner, self._workspace.settings.owner.answer_timeout)
