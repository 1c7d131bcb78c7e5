"""The write path of applications."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from reindex.indexing.apply import apply, replay
from reindex.indexing.writes import Ack, Write
from reindex.records import Document
from reindex.workspace import Workspace

logger = logging.getLogger(__name__)

Apply = Callable[[Sequence[Write]], list[Ack]]
Given = Document | Write | tuple[int | str, str | None, Mapping[str, Any]]


class Indexer:
    """Writes documents to what is live and to every write target, each with its own encoder.

    A write is acknowledged, that is, the call returns, once it is in the journal and in the live
    collection. It is never lost after that, and no build or flip makes it stale. Use as many as
    you like, in any number of threads and processes.
    """

    def __init__(self, workspace: Workspace, *, apply_writes: Apply | None = None) -> None:
        """``apply_writes`` does the work: by default here, else on behalf of this process.

        Writes that a process left behind half-done are finished first.
        """
        self._apply = apply_writes or (lambda writes: apply(workspace, writes))
        if apply_writes is None:
            _finish_what_others_left(workspace)

    def upsert(self, documents: Given | Iterable[Given]) -> list[Ack]:
        """Insert documents, or overwrite those of the same id.

        A document is a `Document`, a `Write`, or a tuple ``(id, text, payload)``. The text goes
        into the payload where the project's payloads keep it; a ``text`` of None is the one that
        the payload holds already. A document whose text stays is not embedded again.

        Raises:
            WriteRefused: one of the documents cannot be stored; names it. Nothing was written.
            WriteNotAcknowledged: they are in the journal, but what is live could not take them.
        """
        single = isinstance(documents, Document | Write | tuple)
        given: Iterable[Given] = [documents] if single else documents  # type: ignore[assignment,list-item]
        return self._apply([_write(item) for item in given])

    def delete(self, ids: int | str | Iterable[int | str]) -> list[Ack]:
        """Delete documents by their own ids; no matter whether they are there.

        Raises:
            WriteNotAcknowledged: as `upsert`.
        """
        several = [ids] if isinstance(ids, int | str) else list(ids)
        return self._apply([Write(id) for id in several])


def _write(given: Given) -> Write:
    if isinstance(given, Write):
        return Write(given.id, given.text, given.payload if given.payload is not None else {})
    if isinstance(given, Document):
        return Write(given.id, given.text, given.payload)
    id, text, payload = given
    return Write(id, text, dict(payload))


def _finish_what_others_left(workspace: Workspace) -> None:
    """Best effort: whoever builds or promotes next tries again, and says so where it fails."""
    if not workspace.journal.backlog():
        return
    try:
        replay(workspace, dead_only=True)
    except Exception as error:
        logger.warning("writes of a process that has ended still wait: %s", error)
