"""Finding a collection by the name that somebody typed, and drawing a sample of its points."""

from __future__ import annotations

import difflib
import random

from reindex.errors import CollectionNotFound
from reindex.protocols import CarryingStore, Store
from reindex.records import PointId, StoredPoint

PAGE = 1000


def physical(store: Store, name: str) -> str:
    """The collection that ``name`` means: itself, or what an alias of that name points at.

    Raises:
        CollectionNotFound: neither; names the nearest one that exists.
    """
    names, aliases = store.collections(), store.aliases()
    if name in names:
        return name
    if name in aliases:
        return aliases[name]
    known = [*names, *aliases]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if nearest:
        hint = f"Did you mean {nearest[0]!r}?"
    else:
        shown = ", ".join(map(repr, sorted(known)[:10])) or "none at all"
        hint = f"There is {shown}{', …' if len(known) > 10 else ''}."
    raise CollectionNotFound(f"There is no collection or alias {name!r}. {hint}")


def sample_points(
    store: Store, name: str, count: int, vector: str | None = None, *, seed: int = 13
) -> list[StoredPoint]:
    """Up to ``count`` random points with payload and vector, in the order of their ids.

    A server draws them itself. Elsewhere all ids are read, which an embedded store does in
    milliseconds.
    """
    if isinstance(store, CarryingStore):
        return store.sample(name, count, vector)
    ids = [point.id for page in store.scroll(name, page=PAGE) for point in page]
    chosen = ids if len(ids) <= count else random.Random(seed).sample(ids, count)  # noqa: S311
    found = store.retrieve(name, chosen, with_payload=True, with_vector=True)
    return sorted(found.values(), key=lambda point: _order(point.id))


def _order(id: PointId) -> tuple[bool, int | str]:
    return isinstance(id, str), id
