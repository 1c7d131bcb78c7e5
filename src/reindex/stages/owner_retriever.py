"""Searching from another process than the owner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reindex.errors import OwnerGone, OwnerSilent
from reindex.owner.jobs import KINDS
from reindex.owner.line import OwnerLine
from reindex.records import Condition
from reindex.retriever import Health, Results
from reindex.rollout.feedback import checked_feedback
from reindex.workspace import Workspace


class OwnerRetriever:
    """Searches like a `Retriever`, in the process that owns the store. Thread-safe.

    A request that meets the end of the owner is asked again of the next one. While there is none
    it raises OwnerGone: to open the store here would keep the next owner from it.
    """

    def __init__(self, workspace: Workspace, version: str | None = None) -> None:
        self._line, self._version = OwnerLine(workspace), version

    def search(
        self, query: str, k: int = 10, *, offset: int = 0, where: Condition | None = None,
        exact: bool = False, key: str | None = None,
    ) -> Results:  # fmt: skip
        """As `RollingRetriever.search`."""
        return self.search_many([query], k, offset=offset, where=where, exact=exact, key=key)[0]

    def search_many(
        self, queries: Sequence[str], k: int = 10, *, offset: int = 0,
        where: Condition | None = None, exact: bool = False, key: str | None = None,
    ) -> list[Results]:  # fmt: skip
        """As `RollingRetriever.search_many`."""
        arguments = {
            "queries": list(queries), "k": k, "offset": offset, "where": where, "exact": exact,
            "version": self._version, "key": key,
        }  # fmt: skip
        found: list[Results] = KINDS["search"].result(self._line.ask("search", arguments))
        return found

    def feedback(
        self, search: Results | str, *, clicked: Iterable[int | str] = (),
        used: Iterable[int | str] = (), grade: float | None = None,
    ) -> None:  # fmt: skip
        """As `RollingRetriever.feedback`."""
        identity = search if isinstance(search, str) else search.search_id
        said = checked_feedback(identity, clicked, used, grade)
        chosen = {
            wanted: [document for kind, document, _ in said if kind == wanted]
            for wanted in ("clicked", "used")
        }
        self._line.ask("feedback", {"search": identity, "grade": grade, **chosen})

    def wait_until_settled(self, timeout: float | None = None) -> None:
        """Wait until the owner's retriever has noticed every flip so far and loaded its pair."""
        self._line.ask("settle", {"version": self._version, "timeout": timeout})

    def health(self) -> Health:
        """``ready`` where the owner answers."""
        try:
            self._line.ask("jobs", {})
        except (OwnerGone, OwnerSilent):
            return "not ready"
        return "ready"

    def close(self) -> None:
        """Hang up; a later search connects again."""
        self._line.close()
