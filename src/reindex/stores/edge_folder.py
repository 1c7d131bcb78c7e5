"""One collection's folder on disk, and the process that holds it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from reindex.errors import StoreError
from reindex.processes import process_alive
from reindex.records import PREFIX_VECTOR
from reindex.stores.layout import FULL_VECTOR, Shape

if TYPE_CHECKING:
    from qdrant_edge import EdgeConfig, EdgeShard


def make(folder: Path, shape: Shape) -> None:
    """Write an empty collection into ``folder``, which must not exist."""
    from qdrant_edge import EdgeShard

    folder.mkdir()
    layout = folder / "layout.json"
    with layout.open("w", encoding="utf-8") as file:
        json.dump(asdict(shape), file)
        file.flush()
        os.fsync(file.fileno())
    try:
        shard = EdgeShard.create(str(folder / "shard"), _config(shape))
        shard.flush()
        shard.close()
    except Exception as error:
        raise StoreError(f"cannot create the collection in {folder}: {error}") from error


def _config(shape: Shape) -> EdgeConfig:
    """Vectors as memory-mapped files (Edge's default), cosine as plain clients expect.

    Where there is a prefix to search first, only it gets a graph (``m=0``: none), as on a server.
    """
    from qdrant_edge import Distance, EdgeConfig, EdgeVectorParams, HnswIndexConfig

    if shape.prefix_dim is None:
        return EdgeConfig(vectors={FULL_VECTOR: EdgeVectorParams(shape.dim, Distance.Cosine)})
    # the other two figures are Qdrant's defaults, which Edge wants spelt out
    no_graph = HnswIndexConfig(m=0, ef_construct=100, full_scan_threshold=10_000)
    full = EdgeVectorParams(shape.dim, Distance.Cosine, hnsw_config=no_graph)
    prefix = EdgeVectorParams(shape.prefix_dim, Distance.Cosine)
    return EdgeConfig(vectors={FULL_VECTOR: full, PREFIX_VECTOR: prefix})


def read_shape(folder: Path) -> Shape:
    """The dimensions that `make` wrote down."""
    return Shape(**json.loads((folder / "layout.json").read_text("utf-8")))


def load_shard(folder: Path) -> EdgeShard:
    """Open the shard and lock it; Edge raises bare exceptions.

    Edge opens a shard's files before it asks for the lock, and so cuts the journals of whoever
    holds it: from then on that process cannot flush (seen with qdrant-edge-py 0.9). So the lock is
    asked for first.

    Raises:
        BlockingIOError: somebody holds the shard. Nothing was touched.
    """
    from qdrant_edge import EdgeShard

    with _alone_in(folder):
        _check_free(folder / "shard" / "wal")
        return EdgeShard.load(str(folder / "shard"))


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One at a time asks for a folder's shard, so that nobody takes it between asking and opening.

    Not on Windows, which has no locks of folders.
    """
    if os.name != "posix":
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock_exclusively(descriptor)
        yield
    finally:
        os.close(descriptor)


def _check_free(log: Path) -> None:
    """Raise BlockingIOError where Edge's lock, on the folder of the log, is taken."""
    if os.name != "posix" or not log.is_dir():
        return
    import fcntl

    descriptor = os.open(log, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def describe_holder(pid: int | None) -> str:
    """Who holds a shard that cannot be opened, as far as the catalog's ``pid`` tells."""
    if pid is None:
        return "another process, which is not recorded"
    if pid == os.getpid():
        return f"this very process ({pid}) through another store object: share one"
    if process_alive(pid):
        return f"process {pid}, which is running"
    return f"a process that is not recorded (the last one known, {pid}, has ended)"


def lock_exclusively(descriptor: int) -> None:
    """Wait for the file's lock; the system releases it with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # not POSIX: create and drop from one process at a time
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX)
