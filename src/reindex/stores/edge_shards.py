"""The embedded store's folders: creating, opening, holding and removing Qdrant Edge shards.

Under the store's root every collection has a folder of its own::

    <name>/layout.json     dimensions: the truth about the vectors
    <name>/shard/          Qdrant Edge's files
    .new-<name>/           a collection that is being made; `.old-<name>/` one being removed
    .lock                  held (flock) while a folder appears or goes

A collection exists where its folder does. Its metadata are in the catalog, written before the
folder gets its name: so a process killed in between leaves an entry that the next `create`
replaces, never a folder without an entry.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reindex.diskspace import disk_full, is_disk_full, sync_to_disk
from reindex.errors import CollectionExists, CollectionNotFound, StoreBusy, StoreError
from reindex.protocols import Catalog
from reindex.records import CollectionSpec
from reindex.stores.edge_folder import (
    describe_holder,
    load_shard,
    lock_exclusively,
    make,
    read_shape,
)
from reindex.stores.layout import Shape

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_OPTIMIZE = """
import sys
from pathlib import Path
from reindex.stores.edge_folder import load_shard
shard = load_shard(Path(sys.argv[1]))
shard.optimize()
shard.flush()
shard.close()
"""


@dataclass(frozen=True, slots=True)
class OpenShard:
    """A shard that this process holds."""

    shard: EdgeShard
    shape: Shape


class Shards:
    """Opens shards on first use and keeps them open. Safe to call from several threads."""

    def __init__(self, root: Path, catalog: Catalog) -> None:
        self._root = root
        self._catalog = catalog
        self._open: dict[str, OpenShard] = {}
        self._optimizing: set[str] = set()
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        """Collections that exist, sorted."""
        if not self._root.is_dir():
            return []
        return sorted(
            p.name for p in self._root.iterdir() if _NAME.fullmatch(p.name) and p.is_dir()
        )

    def exists(self, name: str) -> bool:
        """Whether the collection's folder is there."""
        return _NAME.fullmatch(name) is not None and (self._root / name).is_dir()

    def get(self, name: str) -> OpenShard:
        """The open shard of ``name``.

        Raises:
            CollectionNotFound: no such folder.
            StoreBusy: another process holds it.
            StoreError: the folder has no metadata in the catalog, or cannot be read.
        """
        held = self._open.get(name)
        if held is not None:
            return held
        with self._lock:
            if name not in self._open:
                self._open[name] = self._load(name)
                self._catalog.record_owner(name, os.getpid())
            return self._open[name]

    def create(self, spec: CollectionSpec) -> None:
        """Make the folder under another name, then rename it: it is there whole or not at all."""
        shape = Shape.of(spec)
        if spec.vector or spec.distance != "Cosine":
            raise StoreError(
                f"collection {spec.name!r}: the embedded store keeps the full vector unnamed and "
                f"compares by cosine; asked for {spec.vector!r} and {spec.distance}."
            )
        if not _NAME.fullmatch(spec.name):
            raise StoreError(
                f"collection {spec.name!r}: expected a name of letters, digits, '_', '-' and '.', "
                "beginning with a letter or digit, because it names a folder."
            )
        with self.changing():
            if self.exists(spec.name):
                raise CollectionExists(self._why_exists(spec.name))
            fresh = self._root / f".new-{spec.name}"
            make(fresh, shape)
            self._catalog.forget_collection(spec.name)
            self._catalog.merge_collection_metadata(spec.name, spec.metadata)
            fresh.rename(self._root / spec.name)
            sync_to_disk(self._root)

    def remove(self, name: str) -> None:
        """Delete the folder and forget its metadata; to be called within `changing`.

        The shard stays locked until its folder has another name.
        """
        if not self.exists(name):
            raise self._not_found(name)
        held = self._open.pop(name, None) or self._lock_shard(name)
        if held is not None:
            held.shard.flush()  # closing flushes, too, and then finds the files moved
        doomed = self._root / f".old-{name}"
        (self._root / name).rename(doomed)
        self._catalog.forget_collection(name)
        if held is not None:
            with contextlib.suppress(Exception):
                held.shard.close()
        shutil.rmtree(doomed)

    def close(self) -> None:
        """Flush and release every shard; the next use opens it again.

        Raises:
            DiskFull, StoreError: a shard could not be flushed; all are released. What it has not
                flushed is in the engine's log, from which it is read again when opened.
        """
        failed: list[tuple[str, Exception]] = []
        with self._lock:
            while self._open:
                name, held = self._open.popitem()
                for step in (held.shard.flush, held.shard.close):
                    try:
                        step()
                    except Exception as error:
                        failed.append((name, error))
        for name, first in failed[:1]:
            if is_disk_full(first):
                raise disk_full(f"Collection {name!r}", self._root, first) from first
            raise StoreError(f"collection {name!r}: closing it failed: {first}") from first

    def optimize(self, name: str) -> None:
        """Merge segments and build the graphs in a child process, on the released shard.

        In this process it would hold the interpreter's lock for seconds, and searches with it.
        """
        with self._lock:
            held = self.get(name)
            self._optimizing.add(name)
            del self._open[name]
            held.shard.flush()
            held.shard.close()
        try:
            command = [sys.executable, "-c", _OPTIMIZE, str(self._root / name)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        finally:
            self._optimizing.discard(name)
        if done.returncode:
            raise StoreError(
                f"collection {name!r}: optimizing failed with exit code {done.returncode}; the "
                f"collection works as before, only slower. {done.stderr.strip()[-500:]}"
            )

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the root's lock, so that folders and aliases change one at a time."""
        with self._lock:
            self._root.mkdir(parents=True, exist_ok=True)
            with (self._root / ".lock").open("w") as file:
                lock_exclusively(file.fileno())
                for leftover in [*self._root.glob(".new-*"), *self._root.glob(".old-*")]:
                    shutil.rmtree(leftover)  # of a killed process: we hold the lock
                yield

    def _load(self, name: str) -> OpenShard:
        if name in self._optimizing:
            raise StoreBusy(f"collection {name!r} is being optimized. Try again when that is done.")
        if not self.exists(name):
            raise self._not_found(name)
        if self._catalog.collection_metadata(name) is None:
            raise StoreError(self._why_exists(name))
        if (owner := self._catalog.project_owner()) is not None:
            raise StoreBusy(
                f"collection {name!r} belongs to this project's owner, {owner}: opening it here "
                "would be in its way. Ask for what you need through the owner (see docs/owner.md)."
            )
        folder = self._root / name
        try:
            return OpenShard(load_shard(folder), read_shape(folder))
        except Exception as error:
            raise self._unopened(name, error) from error

    def _lock_shard(self, name: str) -> OpenShard | None:
        """Open a shard that is to be removed; one that is broken may go, one in use may not."""
        try:
            return OpenShard(load_shard(self._root / name), Shape(0, None))
        except Exception as error:
            refusal = self._unopened(name, error)
            if isinstance(refusal, StoreBusy):
                raise refusal from error
            return None

    def _unopened(self, name: str, error: Exception) -> StoreError:
        if isinstance(error, BlockingIOError) or "WouldBlock" in str(error):
            return StoreBusy(
                f"collection {name!r} is held by {describe_holder(self._catalog.owner(name))}. An "
                "embedded collection has one process at a time. End that process and start "
                "`reindex own` (in Python: `with project.own():` in that process): what other "
                "terminals ask for then runs inside it. Or use the collection there, or keep the "
                'vectors on a server ([store] kind = "server").'
            )
        return StoreError(
            f"collection {name!r} cannot be opened from {self._root / name}: {error}. If its files "
            "are damaged, drop the collection and build it again."
        )

    def _not_found(self, name: str) -> CollectionNotFound:
        if self._catalog.collection_metadata(name) is None:
            return CollectionNotFound(f"there is no collection {name!r} in {self._root}.")
        return CollectionNotFound(
            f"collection {name!r} is in the registry, but its folder {self._root / name} is gone. "
            "Put the folder back, or build the collection again."
        )

    def _why_exists(self, name: str) -> str:
        if self._catalog.collection_metadata(name) is not None:
            return f"there is a collection {name!r} already in {self._root}."
        return (
            f"the folder {self._root / name} has no entry in the registry (replaced, or restored "
            "from an older copy?), so nobody knows whose vectors it holds. Restore the registry, "
            f"or drop the collection {name!r} and build it again."
        )
