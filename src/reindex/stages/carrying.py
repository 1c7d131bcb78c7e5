"""What a new collection takes over from the one that its documents come from.

Settings, payload indexes and the vectors that belong to others: see `stores.server_carry`. Only
where the source is a collection, on a store whose collections may have such things.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from reindex.corpus.collection import CollectionSource
from reindex.protocols import CarryingStore
from reindex.records import CollectionDescription, Copied, StoredPoint, payload_hash
from reindex.registry.adoptions import Adoptions
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
    like = model_of(workspace, target)
    if like is None or not like.unowned:
        return {}
    names, left = _shared(workspace, like, target)
    total = _copy(workspace, like, target, names, job)
    return {"vectors": names, "left": left, **asdict(total)}


def carry_between(
    workspace: Workspace, source: str, target: str, job: Job, *, flipped_rev: int | None = None
) -> int:
    """Bring the vectors that are not ours from one collection to another; the points changed.

    ``flipped_rev``: the target is live since a flip with this rev. Then vectors of points that
    changed in it since stay, and none is removed.
    """
    store = workspace.store
    if not isinstance(store, CarryingStore):
        return 0
    like = store.describe(source)
    names, _ = _shared(workspace, like, target) if like.unowned else ([], [])
    adopted = Adoptions(workspace.registry).of(target) is not None
    keep = None if flipped_rev is None else partial(_changed_since, flipped_rev, adopted)
    total = _copy(workspace, like, target, names, job, keep=keep)
    return total.written + total.removed


def _changed_since(rev: int, adopted: bool, point: StoredPoint) -> bool:
    """As a careful pass tells it; in an adopted collection points have no stamp from the start."""
    stamp = point.stamp
    if stamp is None:
        return not adopted
    return stamp.rev > rev or stamp.payload_hash != payload_hash(point.payload)


def _shared(
    workspace: Workspace, like: CollectionDescription, target: str
) -> tuple[list[str], list[str]]:
    """Names of the vectors that are not ours: those that the target has, too, and the others."""
    store = workspace.store
    assert isinstance(store, CarryingStore)
    there = {vector.name for vector in store.describe(target).unowned}
    names = [vector.name for vector in like.unowned]
    return [name for name in names if name in there], [name for name in names if name not in there]


def _copy(
    workspace: Workspace,
    like: CollectionDescription,
    target: str,
    names: Sequence[str],
    job: Job,
    *,
    keep: Callable[[StoredPoint], bool] | None = None,
) -> Copied:
    store = workspace.store
    assert isinstance(store, CarryingStore)
    total, seen = Copied(), 0
    for page in store.copy_vectors(like.name, target, names, keep=keep):
        total += page
        seen += page.written + page.unchanged + page.removed + page.absent
        job.progress("copy", seen, like.points)
        job.pace(0)
    return total
