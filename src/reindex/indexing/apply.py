"""A batch of writes: journal, then what is live, then every other write target.

`apply` needs nothing but a workspace and gives plain records, so it can be called on behalf of
another process.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from reindex.errors import CollectionNotFound, WriteNotAcknowledged
from reindex.indexing.delivery import Delivered, Delivery
from reindex.indexing.writes import Ack, Checked, Write, checked
from reindex.promotion import latest_done
from reindex.records import INDEXER_SOURCE, Payload, PointId
from reindex.registry.journal import WriteTarget
from reindex.registry.ledger import BuiltCollection
from reindex.registry.write_keys import WriteKeys
from reindex.workspace import Workspace

Row = tuple[PointId, int | str, str | None, Payload | None]

logger = logging.getLogger(__name__)
REST_S = 5.0
"""Seconds in which a write target that just failed is not tried again: its writes wait."""


def apply(workspace: Workspace, writes: Sequence[Write], *, key: str | None = None) -> list[Ack]:
    """Write all, in their order; returns once they are journaled and in the live collection.

    ``key``: of the sender's own choice. The same writes under the same key are journaled once,
    however often they are sent.

    Raises:
        WriteRefused: a document cannot be stored, or other writes came under the key; nothing was
            written.
        CollectionNotFound: nothing is live.
        WriteNotAcknowledged: the live collection could not be written. Its writes stay in the
            journal, and are applied when it can be (see `replay`), or do them again.
        StoreBusy: another process holds the live collection; nothing was written.
    """
    good = checked(writes, workspace.settings.source)
    size = workspace.settings.embed.batch_size
    acks: list[Ack] = []
    for start in range(0, len(good), size):
        part = None if key is None else f"{key}/{start}+{size}"
        acks += _apply(workspace, good[start : start + size], part)
    return acks


def _apply(workspace: Workspace, batch: Sequence[Checked], key: str | None) -> list[Ack]:
    live, others, revs = _journal(workspace, batch, key)
    points = [item.candidate.id for item in batch]
    try:
        _deliver(workspace, live, points)
    except Exception as error:
        workspace.journal.failed(live, points, f"{type(error).__name__}: {error}")
        names = ", ".join(repr(item.candidate.document.id) for item in batch[:3])
        raise WriteNotAcknowledged(
            f"{len(batch)} writes (documents {names}{', …' if len(batch) > 3 else ''}) are in the "
            f"journal, but {live} could not take them ({error}). They are applied when it can; or "
            "write them again, the newer write wins."
        ) from error
    pending = tuple(other for other in others if not _try(workspace, other, points))
    return [
        Ack(item.candidate.document.id, rev, live, pending)
        for item, rev in zip(batch, revs, strict=True)
    ]


def _journal(
    workspace: Workspace, batch: Sequence[Checked], key: str | None
) -> tuple[str, list[str], list[int]]:
    """Append the batch; the collections that get it are decided in the same transaction.

    The alias is read before: asking a server while the registry is locked would hold everybody
    up. A flip meanwhile shows in the registry, and the alias is read again.
    """
    rows = [(item.candidate.id, item.candidate.document.id, *_content(item)) for item in batch]
    registry, alias = workspace.registry, workspace.settings.alias
    while True:
        before = latest_done(registry, alias)
        live = _writable(workspace)
        with registry.transaction():
            if latest_done(registry, alias) != before:
                continue
            others = [item.collection for item in write_targets(workspace)]
            others = [name for name in others if name != live]
            return live, others, _append(workspace, rows, [live, *others], key)


def _append(
    workspace: Workspace, rows: Sequence[Row], collections: Sequence[str], key: str | None
) -> list[int]:
    keys = WriteKeys(workspace.registry)
    if key is None:
        return workspace.journal.append(rows, collections)
    digest = _digest(rows)
    known = keys.revs(key, digest)
    if known is None:
        known = workspace.journal.append(rows, collections)
        keys.remember(key, known, digest)
    return known


def _digest(rows: Sequence[Row]) -> str:
    """The same for the same writes in the same order."""
    return sha256(json.dumps(rows, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _content(item: Checked) -> tuple[str | None, dict[str, object] | None]:
    document = item.candidate.document
    return (None, None) if item.deletes else (document.text, document.payload)


def _writable(workspace: Workspace) -> str:
    """The live collection; raises where it cannot be written by this process anyway."""
    live = workspace.live_collection()
    if live is None or workspace.registry.collection(live) is None:
        raise CollectionNotFound(
            f"The alias {workspace.settings.alias!r} points at {live or 'nothing'}, which this "
            "project's registry does not know. Promote or adopt a first version."
        )
    workspace.store.retrieve(live, [])
    return live


def write_targets(workspace: Workspace) -> list[WriteTarget]:
    """Collections that single writes go to beside the live one: candidates, and what was live
    before, until its hold-over ends.
    """
    days = workspace.settings.retention.hold_over_days
    oldest = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="microseconds")
    return [
        item
        for item in workspace.journal.targets()
        if item.role == "candidate" or item.since >= oldest
    ]


def replay(workspace: Workspace, collection: str | None = None, *, dead_only: bool = False) -> int:
    """Deliver what collections are still owed (all of them, or one), the live one first.

    ``dead_only``: only writes whose process has ended. Returns the number of points.

    Raises:
        ReindexError: a collection could not take them; the journal keeps them, with the reason.
    """
    names = [collection] if collection is not None else _owed(workspace)
    delivered = 0
    for name in names:
        points = workspace.journal.owed(name, dead_only=dead_only)
        if points and name not in workspace.store.collections():
            workspace.journal.retire(name)
            continue
        for part in _parts(points, workspace.settings.embed.batch_size):
            _note_failure(workspace, name, part)
            delivered += len(part)
    return delivered


def _note_failure(workspace: Workspace, name: str, part: list[PointId]) -> None:
    try:
        _deliver(workspace, name, part)
    except Exception as error:
        workspace.journal.failed(name, part, f"{type(error).__name__}: {error}")
        raise


def _owed(workspace: Workspace) -> list[str]:
    live = workspace.live_collection()
    names = [item.collection for item in workspace.journal.backlog()]
    return sorted(names, key=lambda name: name != live)


def _parts(points: list[PointId], size: int) -> Iterator[list[PointId]]:
    return (points[start : start + size] for start in range(0, len(points), size))


def _try(workspace: Workspace, collection: str, points: Sequence[PointId]) -> bool:
    """Deliver to a target whose failure must not fail the write."""
    resting = workspace.resting.get(collection)
    if resting is not None and time.monotonic() < resting:
        return False
    try:
        _deliver(workspace, collection, points)
    except Exception as error:
        logger.warning("%s misses %d writes for now: %s", collection, len(points), error)
        workspace.resting[collection] = time.monotonic() + REST_S
        workspace.journal.failed(collection, points, f"{type(error).__name__}: {error}")
        return False
    return True


def _deliver(workspace: Workspace, collection: str, points: Sequence[PointId]) -> Delivered:
    built = workspace.registry.collection(collection)
    if built is None:
        raise CollectionNotFound(f"The registry does not know the collection {collection}.")
    done = delivery(workspace, built).deliver(points)
    if done.changed:
        workspace.registry.count_single_writes(collection, done.changed, done.growth)
    return done


def delivery(workspace: Workspace, built: BuiltCollection) -> Delivery:
    """A collection as the receiver of single writes."""
    return Delivery(
        journal=workspace.journal,
        store=workspace.store,
        collection=built.name,
        source=single_writes_source(workspace),
        space=built.space,
        encoding=built.encoding,
        build=built.build,
        encoder=lambda: workspace.kept_remembering(built),
    )


def single_writes_source(workspace: Workspace) -> str:
    """What single writes are stamped with. Where the collection itself is the source, nothing
    sets them apart; beside files they are a source of their own, which no file build touches.
    """
    copied = workspace.settings.source.kind == "collection"
    return workspace.copies_name if copied else INDEXER_SOURCE
