"""What was told to whom, and whether it arrived. Hosts alone: addresses may hold secrets."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, fields
from typing import Protocol

from reindex.errors import ReindexError
from reindex.registry import Registry
from reindex.registry.file import now


class Delivered(Protocol):
    """What became of a message."""

    @property
    def host(self) -> str: ...  # noqa: D102

    @property
    def attempts(self) -> int: ...  # noqa: D102

    @property
    def outcome(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to one host."""

    event: str
    version: str
    promotion: int | None
    host: str
    attempts: int
    outcome: str
    at: str


_NAMES = ", ".join(item.name for item in fields(Notification))


class Notifications:
    """The table ``notifications`` of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add(self, event: str, version: str, promotion: int | None, done: Delivered) -> None:
        """Write down one; a registry that cannot be written to keeps nobody from going on."""
        with contextlib.suppress(ReindexError, sqlite3.Error):
            with self._registry.transaction():
                self._registry.execute(
                    f"INSERT INTO notifications ({_NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                    (event, version, promotion, done.host, done.attempts, done.outcome, now()),
                )
            self._registry.close()  # this thread's connection

    def hosts(self, promotion: int | None) -> list[str]:
        """To whom messages of a promotion went, once for each; of none: nobody."""
        sql = "SELECT host FROM notifications WHERE promotion = ?"
        return [str(host) for (host,) in self._registry.execute(sql, [promotion]).fetchall()]

    def all(self) -> list[Notification]:
        """All of them, newest first."""
        sql = f"SELECT {_NAMES} FROM notifications ORDER BY id DESC"  # noqa: S608
        return [Notification(*row) for row in self._registry.execute(sql).fetchall()]
