"""Being the owner of a project: a context around whatever keeps its embedded store open."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
import threading
from pathlib import Path
from types import FrameType
from typing import Self

from reindex import __version__
from reindex.errors import OwnerError
from reindex.owner import address
from reindex.owner.lanes import Lanes, Log, no_log
from reindex.owner.server import Server
from reindex.registry.owners import OwnerBook, OwnerRecord
from reindex.workspace import Workspace


class _Ended(BaseException):
    """A signal asks this process to end."""


class Owner:
    """Makes this process the project's owner while the context lasts: see `Project.own`.

    What other processes ask for runs in threads of this one, on the same open store; the
    workspace itself goes on working as before. At the end, running jobs are stopped where they
    can be resumed, and the record is removed.
    """

    def __init__(self, workspace: Workspace, *, log: Log = no_log) -> None:
        """``log`` gets a line per job, from other threads."""
        self._workspace, self._log = workspace, log
        self.lanes = Lanes(log)
        """Where jobs run, whoever asks for them."""
        self._book = OwnerBook(workspace.registry)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Server | None = None
        self._thread: threading.Thread | None = None
        self.record: OwnerRecord | None = None

    def __enter__(self) -> Self:
        """Become the owner.

        Raises:
            Conflict: another living process is; the message tells which and since when.
            StoreBusy: another process holds the live collection.
            OwnerError: the store needs no owner, or there is no place for the socket.
        """
        workspace = self._workspace
        if workspace.settings.store.kind == "server":
            raise OwnerError(
                "A Qdrant server takes any number of processes: a project on one needs no owner."
            )
        listening, path = address.bind(workspace.settings.home)
        record = OwnerRecord.mine(str(path), secrets.token_hex(16), __version__)
        try:
            before = self._book.claim(record)
            try:
                self._open_live()
                self._start(listening, record)
            except BaseException:
                self._book.release(record)
                raise
        except BaseException:
            listening.close()
            address.remove(path)
            raise
        if before is not None:
            self._log(f"taken over from {before}, which ended without notice")
            address.remove(Path(before.address))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop what runs, tell those who wait, and remove the record. May be called twice."""
        record, self.record = self.record, None
        if record is None or self._thread is None:
            return
        assert self._loop is not None
        assert self._server is not None
        with contextlib.suppress(RuntimeError):  # its loop has ended already
            self._loop.call_soon_threadsafe(self._server.stop)
        self._thread.join()
        self._book.release(record)
        address.remove(Path(record.address))

    def wait(self) -> None:
        """Wait for Ctrl-C or SIGTERM. To be called in the main thread."""

        def end(_: int, __: FrameType | None) -> None:
            signal.signal(signal.SIGTERM, before)  # a second one ends this process at once
            raise _Ended

        before = signal.signal(signal.SIGTERM, end)
        with contextlib.suppress(_Ended, KeyboardInterrupt):
            while True:
                signal.pause()

    def _open_live(self) -> None:
        """So that a first search is fast, and so that a second holder is found at once."""
        live = self._workspace.live_collection()
        if live is not None and live in self._workspace.store.collections():
            self._workspace.store.info(live)

    def _start(self, listening: socket.socket, record: OwnerRecord) -> None:
        started = threading.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._server = Server(self._workspace, record, self.lanes)
            started.set()
            await self._server.serve(listening)

        self._thread = threading.Thread(
            target=asyncio.run, args=(serve(),), name="reindex-owner", daemon=True
        )
        self._thread.start()
        started.wait()
        self.record = record
