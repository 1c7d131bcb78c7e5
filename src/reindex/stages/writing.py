"""The write path of a project: here, or through the process that owns the store."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from reindex.indexing import Indexer
from reindex.indexing.apply import apply
from reindex.indexing.writes import Ack, Write, checked
from reindex.owner.jobs import KINDS, job
from reindex.owner.line import OwnerLine
from reindex.workspace import Workspace

PER_REQUEST = 500
"""Writes per message to the owner."""


def open_indexer(workspace: Workspace) -> Indexer:
    """The write path; through the owner where another process is that now."""
    if workspace.other_owner() is None:
        return Indexer(workspace)
    return Indexer(workspace, apply_writes=_ThroughOwner(workspace))


@job("aside", detached=True)
def write(workspace: Workspace, writes: Sequence[Write], key: str) -> list[Ack]:
    """Single writes as a job. A batch that comes again under its ``key`` is not written again."""
    return apply(workspace, writes, key=key)


class _ThroughOwner:
    """Implements `indexing.Apply`: as durable as a local write, for the owner journals it.

    Where the owner ends before it has answered, the same batch goes to the next one under the
    same key; for that one is waited as long as for an answer.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._line = OwnerLine(workspace, wait=workspace.settings.owner.answer_timeout)

    def __call__(self, writes: Sequence[Write]) -> list[Ack]:
        checked(writes, self._workspace.settings.source)  # all of them before the first is sent
        acks: list[Ack] = []
        for start in range(0, len(writes), PER_REQUEST):
            part = list(writes[start : start + PER_REQUEST])
            arguments = {"writes": part, "key": uuid.uuid4().hex}
            acks += KINDS["write"].result(self._line.ask("write", arguments))
        return acks
