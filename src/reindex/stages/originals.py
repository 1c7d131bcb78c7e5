"""Which points of an adopted collection the version after it had, too, when it took over.

Nothing is written into an adopted collection's own points, so they bear no stamp, and on the way
back nobody could tell one that was deleted since from one that another client added: neither is in
the newer collection. So their ids are kept in a file once a flip away is swept.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reindex.point_ids import KEY_BYTES, pack_id
from reindex.records import PointId
from reindex.registry.adoptions import Adoptions
from reindex.workspace import Workspace

PAGE = 1000


class Originals:
    """The kept ids: sorted records of ``KEY_BYTES`` in a memory-mapped file."""

    def __init__(self, path: Path) -> None:
        self._records = np.memmap(path, dtype=f"S{KEY_BYTES}", mode="r")

    def among(self, ids: Sequence[PointId]) -> set[PointId]:
        """Those of ``ids`` that are kept."""
        keys = np.array([pack_id(id) for id in ids], dtype=f"S{KEY_BYTES}")
        at = np.minimum(np.searchsorted(self._records, keys), len(self._records) - 1)
        return {id for id, same in zip(ids, self._records[at] == keys, strict=True) if same}


def originals_of(workspace: Workspace, collection: str) -> Originals | None:
    """What is kept of an adopted collection; None where no flip away from it was swept."""
    path = _path(workspace, collection)
    return Originals(path) if path.exists() and path.stat().st_size else None


def keep_originals(workspace: Workspace, collection: str, newer: str) -> None:
    """Keep the ids that both collections have, if the first one is adopted. Replaces the file."""
    if Adoptions(workspace.registry).of(collection) is None:
        return
    path = _path(workspace, collection)
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}")
    with part.open("wb") as out:
        for page in workspace.store.scroll(collection, page=PAGE):
            both = workspace.store.retrieve(newer, [point.id for point in page])
            out.write(b"".join(pack_id(point.id) for point in page if point.id in both))
    part.replace(path)


def _path(workspace: Workspace, collection: str) -> Path:
    return workspace.settings.home / "originals" / f"{collection}.ids"
