"""The project's owner process in the registry: at most one row."""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import astuple, dataclass
from typing import Any

from reindex.errors import Conflict
from reindex.processes import process_started, same_process
from reindex.registry import Registry
from reindex.registry.file import now

_COLUMNS = "pid, host, process_started, since, address, token, release"


@dataclass(frozen=True, slots=True)
class OwnerRecord:
    """Who owns the project. ``address`` is the path of its socket."""

    pid: int
    host: str
    process_started: str | None
    since: str
    address: str
    token: str
    release: str

    @classmethod
    def mine(cls, address: str, token: str, release: str) -> OwnerRecord:
        """This process as an owner from now on."""
        pid = os.getpid()
        host = socket.gethostname()
        return cls(pid, host, process_started(pid), now(), address, token, release)

    def as_dict(self) -> dict[str, Any]:
        """JSON form to show; without the token, which is for who asks it."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "token"}

    def lives(self) -> bool:
        """Whether the process runs, as far as can be told: also where it does not answer.

        One in another container is not seen as a process, but takes connections.
        """
        here = self.host == socket.gethostname()
        return (here and same_process(self.pid, self.process_started)) or self._listens()

    def _listens(self) -> bool:
        if not hasattr(socket, "AF_UNIX"):
            return False
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.setblocking(False)
            try:
                probe.connect(self.address)
            except BlockingIOError:  # so many wait to be answered that there is no room
                return True
            except OSError:
                return False
            return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (since {self.since[:19]}Z)"


class OwnerBook:
    """Reads and writes the owner's row. Of two processes that claim it, one wins."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def current(self) -> OwnerRecord | None:
        """Who is recorded, dead or alive."""
        sql = f"SELECT {_COLUMNS} FROM owner"  # noqa: S608 (own names)
        row = self._registry.execute(sql).fetchone()
        return None if row is None else OwnerRecord(*row)

    def other(self) -> OwnerRecord | None:
        """The living owner, unless that is whoever uses this registry object."""
        found = self.current()
        if found is None or found.token == self._registry.owner_token:
            return None
        return found if found.lives() else None

    def claim(self, record: OwnerRecord) -> OwnerRecord | None:
        """Become the owner; returns the record of a dead one that was taken over.

        Raises:
            Conflict: there is one that lives.
        """
        with self._registry.transaction():
            found = self.current()
            if found is not None and found.lives():
                raise Conflict(
                    f"This project has an owner already: {found}. Commands in other terminals run "
                    f"inside it. To have another one, end it first: kill {found.pid}"
                )
            self._registry.execute("DELETE FROM owner")
            self._registry.execute(
                f"INSERT INTO owner (only, {_COLUMNS}) VALUES (1, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                astuple(record),
            )
        self._registry.owner_token = record.token
        return found

    def release(self, record: OwnerRecord) -> None:
        """Remove this very record; that of a successor stays."""
        with self._registry.transaction():
            self._registry.execute("DELETE FROM owner WHERE token = ?", [record.token])
        self._registry.owner_token = ""
