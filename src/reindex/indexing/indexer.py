"""The write path of applications."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from reindex.indexing.apply import apply, replay
from reindex.workspace import Workspace
from reindex.writes import Ack, Given, Write, as_ids, as_writes

logger = logging.getLogger(__name__)

Apply = Callable[[Sequence[Write]], list[Ack]]


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
        return self._apply(as_writes(documents))

    def delete(self, ids: int | str | Iterable[int | str]) -> list[Ack]:
        """Delete documents by their own ids; no matter whether they are there.

        Raises:
            WriteNotAcknowledged: as `upsert`.
        """
        return self._apply([Write(id) for id in as_ids(ids)])


def _finish_what_others_left(workspace: Workspace) -> None:
    """Best effort: whoever builds or promotes next tries again, and says so where it fails."""
    if not workspace.journal.backlog():
        return
    try:
        replay(workspace, dead_only=True)
    except Exception as error:
        logger.warning("writes of a process that has ended still wait: %s", error)
