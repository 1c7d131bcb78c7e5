"""The stores that ``[store] kind`` may name: those that are registered as entry points."""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "reindex.stores"
"""The entry-point group: name -> a `reindex.stores.StoreFactory`. The built-in stores too."""


@cache
def store_kinds() -> dict[str, list[EntryPoint]]:
    """name -> who registered it, from the metadata of every installed distribution."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=GROUP)):
        found.setdefault(entry.name, []).append(entry)
    return found


def store_entry(kind: str) -> EntryPoint:
    """The one entry point of this name.

    Raises:
        ValueError: there is none, or two distributions claim it; the message says which there are.
    """
    kinds = store_kinds()
    claims = kinds.get(kind, [])
    if len(claims) == 1:
        return claims[0]
    if claims:
        raise ValueError(
            f"several packages register a store {kind!r}: {', '.join(map(_package, claims))}. "
            "Uninstall all but one"
        )
    if not kinds:
        raise ValueError(
            f"no store is registered under the entry-point group {GROUP!r}, not even the built-in "
            "ones: reindex's installed metadata are older than its code. Install it again: "
            "pip install --force-reinstall reindex, or in a checkout: pip install -e ."
        )
    near = difflib.get_close_matches(kind, kinds, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = ", ".join(f"{name} ({_package(entries[0])})" for name, entries in kinds.items())
    raise ValueError(f"there is no store {kind!r}; installed: {listed}.{hint}")


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
