"""The journal of single writes: what is still to be written where, and what was deleted.

A write is in the journal before it is in any collection, and stays until every write target has
it. Deletes stay longer, as tombstones, so that no build brings their points back.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from reindex.processes import process_started, same_process
from reindex.records import Payload, PointId
from reindex.registry import Registry
from reindex.registry.file import now

Role = Literal["candidate", "held-over"]
_CHUNK = 400
"""Values per statement: below SQLite's oldest limit on parameters."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journaled write. ``text`` and ``payload`` are None for a delete."""

    rev: int
    point: PointId
    id: int | str
    text: str | None
    payload: Payload | None


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """A collection that single writes go to, beside the live one. ``rev``: the first one may be
    higher by one; what was journaled before this was a target is not delivered to it.
    """

    collection: str
    role: Role
    since: str
    rev: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one collection is still owed; ``error`` is why the last try failed, if one did."""

    collection: str
    writes: int
    oldest: str
    error: str | None


class Journal:
    """The journal and the write targets of one project. Implements `protocols.Tombstones`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    # -- write targets

    def publish(self, collection: str, role: Role) -> WriteTarget:
        """Make a collection a write target from the next journaled write on.

        A known one keeps its beginning; one that is held over begins anew.
        """
        with self._registry.transaction():
            self._registry.execute(
                "INSERT INTO write_targets VALUES (?, ?, ?, ?) "
                "ON CONFLICT (collection) DO UPDATE SET role = excluded.role, "
                "since = CASE excluded.role WHEN 'held-over' THEN excluded.since ELSE since END",
                (collection, role, now(), self._registry.next_rev()),
            )
            return next(item for item in self.targets() if item.collection == collection)

    def targets(self) -> list[WriteTarget]:
        """All write targets, oldest first."""
        rows = self._registry.execute("SELECT * FROM write_targets ORDER BY rev").fetchall()
        return [WriteTarget(*row) for row in rows]

    def retire(self, collection: str) -> None:
        """Write to the collection no more, and forget what it was still owed."""
        with self._registry.transaction():
            self._registry.execute("DELETE FROM write_targets WHERE collection = ?", [collection])
            owed = self._registry.execute(
                "SELECT point FROM deliveries JOIN journal USING (rev) WHERE collection = ?",
                [collection],
            ).fetchall()
            self._registry.execute("DELETE FROM deliveries WHERE collection = ?", [collection])
            self._prune([row[0] for row in owed])

    # -- writing

    def append(
        self,
        writes: Sequence[tuple[PointId, int | str, str | None, Payload | None]],
        collections: Iterable[str],
    ) -> list[int]:
        """Journal writes in this order, owed to ``collections``; returns their revs.

        Call it within a transaction that also decides which collections those are.
        """
        with self._registry.transaction():
            last = self._registry.next_rev(len(writes))
            revs = list(range(last - len(writes) + 1, last + 1))
            pid = os.getpid()
            who = (pid, process_started(pid), socket.gethostname(), now())
            self._registry.execute_many(
                "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (rev, json.dumps(point), json.dumps(id), text, _json(payload), *who)
                    for rev, (point, id, text, payload) in zip(revs, writes, strict=True)
                ],
            )
            self._registry.execute_many(
                "INSERT INTO deliveries (collection, rev) VALUES (?, ?)",
                [(collection, rev) for collection in dict.fromkeys(collections) for rev in revs],
            )
        return revs

    def latest(self, points: Iterable[PointId]) -> dict[PointId, Entry]:
        """The newest entry of each point that has one."""
        found: dict[PointId, Entry] = {}
        for keys, marks in _chunks(points):
            rows = self._registry.execute(
                "SELECT rev, point, id, text, payload FROM journal "  # noqa: S608 (own marks)
                f"WHERE point IN ({marks}) ORDER BY rev",
                keys,
            )
            found |= {entry.point: entry for entry in map(_entry, rows)}
        return found

    def deleted(self, ids: Sequence[PointId]) -> dict[PointId, int]:
        """Those of ``ids`` whose newest entry is a delete, with its rev."""
        return {id: entry.rev for id, entry in self.latest(ids).items() if entry.text is None}

    # -- delivering

    def owed(self, collection: str, *, dead_only: bool = False) -> list[PointId]:
        """Points with writes that the collection still lacks, oldest first.

        ``dead_only``: leave out those whose every writer still runs: it is about to deliver them.
        """
        rows = self._registry.execute(
            "SELECT point, pid, process_started, host FROM deliveries JOIN journal USING (rev) "
            "WHERE collection = ? ORDER BY rev",
            [collection],
        ).fetchall()
        alive: dict[tuple[Any, ...], bool] = {}
        points: dict[str, None] = {}
        for point, *writer in rows:
            key = tuple(writer)
            if dead_only and alive.setdefault(key, _alive(*key)):
                continue
            points[point] = None
        return [json.loads(point) for point in points]

    def delivered(self, collection: str, revs: Mapping[PointId, int]) -> dict[PointId, int]:
        """Mark everything up to these revs as written; returns points with newer entries."""
        with self._registry.transaction():
            for keys, marks in _chunks(revs):
                rows = self._registry.execute(
                    "SELECT point, rev FROM deliveries JOIN journal USING (rev) "  # noqa: S608
                    f"WHERE collection = ? AND point IN ({marks})",
                    [collection, *keys],
                ).fetchall()
                done = [(collection, rev) for key, rev in rows if rev <= revs[json.loads(key)]]
                self._registry.execute_many(
                    "DELETE FROM deliveries WHERE collection = ? AND rev = ?", done
                )
            newest = {id: entry.rev for id, entry in self.latest(revs).items()}
            newer = {id: rev for id, rev in newest.items() if rev > revs[id]}
            self._prune([json.dumps(id) for id in revs.keys() - newer.keys()])
        return newer

    def failed(self, collection: str, points: Iterable[PointId], error: str) -> None:
        """Keep why the points could not be written."""
        with self._registry.transaction():
            for keys, marks in _chunks(points):
                self._registry.execute(
                    "UPDATE deliveries SET error = ? WHERE collection = ? AND rev IN "  # noqa: S608
                    f"(SELECT rev FROM journal WHERE point IN ({marks}))",
                    [error, collection, *keys],
                )

    def backlog(self) -> list[Backlog]:
        """What each collection is still owed; nothing is left out but empty ones."""
        rows = self._registry.execute(
            "SELECT collection, count(*), min(created_at), max(error) FROM deliveries "
            "JOIN journal USING (rev) GROUP BY collection ORDER BY collection"
        )
        return [Backlog(*row) for row in rows.fetchall()]

    def _prune(self, points: Sequence[str]) -> None:
        """Forget entries of points that every target has; a last delete stays as a tombstone."""
        for start in range(0, len(points), _CHUNK):
            keys = points[start : start + _CHUNK]
            marks = ", ".join("?" for _ in keys)
            self._registry.execute(
                f"DELETE FROM journal AS j WHERE point IN ({marks}) "  # noqa: S608 (own marks)
                "AND NOT EXISTS (SELECT 1 FROM deliveries JOIN journal AS k USING (rev) "
                "WHERE k.point = j.point) AND NOT (text IS NULL AND rev = "
                "(SELECT max(rev) FROM journal AS k WHERE k.point = j.point))",
                keys,
            )

    def forget_tombstones(self, before: str) -> int:
        """Drop deletes that every target has and that were journaled before this time."""
        with self._registry.transaction():
            return self._registry.execute(
                "DELETE FROM journal WHERE text IS NULL AND created_at < ? "
                "AND NOT EXISTS (SELECT 1 FROM deliveries WHERE rev = journal.rev)",
                [before],
            ).rowcount


def _json(payload: Payload | None) -> str | None:
    return None if payload is None else json.dumps(payload, separators=(",", ":"))


def _entry(row: Sequence[Any]) -> Entry:
    rev, point, id, text, payload = row
    return Entry(
        rev,
        json.loads(point),
        json.loads(id),
        text,
        None if payload is None else json.loads(payload),
    )


def _chunks(points: Iterable[PointId]) -> Iterable[tuple[list[str], str]]:
    keys = [json.dumps(point) for point in dict.fromkeys(points)]
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        yield chunk, ", ".join("?" for _ in chunk)


def _alive(pid: int, started: str | None, host: str) -> bool:
    """Whether the writer may still be about to deliver. Of another host it cannot be told: the
    journal lives on one, so that was this one under another name.
    """
    return host == socket.gethostname() and same_process(pid, started)
