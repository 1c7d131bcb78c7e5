"""What a new collection takes over from the one that its documents come from.

Settings, payload indexes and the vectors that belong to others: see `stores.server_carry`. Only
where the source is a collection, on a store whose collections may have such things.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from reindex.corpus.collection import CollectionSource
from reindex.protocols import CarryingStore
from reindex.records import CollectionDescription, Copied
from reindex.stages.supervision import Job
from reindex.workspace import Workspace


def model_of(workspace: Workspace, target: str) -> CollectionDescription | None:
    """The collection that ``target`` is modelled on: the source's, if that is another one."""
    source = workspace.source
    if not isinstance(source, CollectionSource) or source.collection == target:
        return None
    store = workspace.store
    return store.describe(source.collection) if isinstance(store, CarryingStore) else None


def as_in(like: CollectionDescription | None) -> dict[str, Any]:
    """How a `CollectionSpec` follows ``like``: its settings, its own vector's name and distance.

    The name, so that clients which search a named vector find it in the new collection, too.
    """
    if like is None or not like.owned:
        return {"like": like}
    own = next(vector for vector in like.vectors if vector.name == like.owned[0])
    return {"like": like, "vector": own.name, "distance": str(own.distance)}


def carry_indexes(workspace: Workspace, target: str) -> list[str]:
    """Create the payload indexes that are missing, best before there are points to index."""
    like, store = model_of(workspace, target), workspace.store
    if like is None or not isinstance(store, CarryingStore):
        return []
    return store.carry_indexes(target, like)


def carry_vectors(workspace: Workspace, target: str, job: Job) -> dict[str, Any]:
    """Copy the vectors that are not ours for all points that the target has. Idempotent.

    Returns:
        What was done; ``left`` names vectors that the target was created without.
    """
    like, store = model_of(workspace, target), workspace.store
    if like is None or not like.unowned or not isinstance(store, CarryingStore):
        return {}
    there = {vector.name for vector in store.describe(target).vectors}
    names = [vector.name for vector in like.unowned if vector.name in there]
    total, seen = Copied(), 0
    for page in store.copy_vectors(like.name, target, names):
        total += page
        seen += page.written + page.unchanged + page.removed + page.absent
        job.progress("copy", seen, like.points)
    left = [vector.name for vector in like.unowned if vector.name not in there]
    return {"vectors": names, "left": left, **asdict(total)}
