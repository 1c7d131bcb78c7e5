"""The owner's side of the socket: takes requests, runs them in lanes, tells how they go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from concurrent.futures import Future
from typing import Any

from reindex import __version__
from reindex.errors import OwnerError, OwnerGone, RunStopped
from reindex.owner.address import BACKLOG
from reindex.owner.jobs import KINDS
from reindex.owner.lanes import Asked, Lanes
from reindex.owner.running import Job
from reindex.owner.wire import (
    ALIVE_EVERY,
    MAX_LINE,
    PROTOCOL,
    decode,
    encode,
    error_event,
)
from reindex.registry.owners import OwnerRecord
from reindex.workspace import Workspace

HELLO_WITHIN = 10.0
"""Seconds that a new connection has to say who it is."""

LOOK_EVERY = 0.1
"""Seconds between two looks at a job's progress."""


class Peer:
    """One connection. A line may be awaited while something else is done."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._pending: asyncio.Task[bytes] | None = None
        self.pid = 0

    def reading(self) -> asyncio.Task[bytes]:
        """The next line, when it comes; empty at the end."""
        if self._pending is None:
            self._pending = asyncio.ensure_future(self._reader.readline())
        return self._pending

    async def read(self) -> dict[str, Any] | None:
        """The next message, or None at the end. Raises OwnerError for what is none."""
        try:
            line = await self.reading()
        except ValueError:
            raise OwnerError(f"A message may have {MAX_LINE:,} bytes at most.") from None
        self._pending = None
        return decode(line) if line else None

    async def send(self, *lines: bytes) -> None:
        """Send, and wait until the other side has taken most of it."""
        self._writer.writelines(lines)
        await self._writer.drain()

    def user(self) -> int | None:
        """The numeric user of the other side, where the system tells."""
        if not hasattr(socket, "SO_PEERCRED"):
            return None
        connection = self._writer.get_extra_info("socket")
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.pid, user, _ = struct.unpack("3i", raw)
        return int(user)

    async def close(self) -> None:
        """Hang up."""
        if self._pending is not None:
            self._pending.cancel()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Server:
    """Serves a listening socket until `stop`; belongs to one event loop."""

    def __init__(self, workspace: Workspace, record: OwnerRecord, lanes: Lanes) -> None:
        self._workspace, self._record, self._lanes = workspace, record, lanes
        self._stopping = asyncio.Event()
        self._clients: set[asyncio.Task[Any]] = set()
        self._busy: set[asyncio.Task[Any]] = set()

    async def serve(self, listening: socket.socket) -> None:
        """Answer until `stop`; then stop what runs, tell those who wait, and hang up."""
        server = await asyncio.start_unix_server(
            self._client, sock=listening, limit=MAX_LINE, backlog=BACKLOG
        )
        await self._stopping.wait()
        server.close()
        if ending := self._lanes.stop("the owner process was told to end"):
            await asyncio.wait([asyncio.wrap_future(future) for future in ending])
        if self._busy:  # they pass the ends on, unless somebody does not listen
            await asyncio.wait(self._busy, timeout=HELLO_WITHIN)
        if self._clients:
            for client in self._clients:
                client.cancel()
            await asyncio.wait(self._clients)
        self._lanes.close()

    def stop(self) -> None:
        """Ask `serve` to end."""
        self._stopping.set()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, task = Peer(reader, writer), asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._greet(peer)
            while (request := await peer.read()) is not None:
                await self._answer(peer, request)
        except (ConnectionError, asyncio.CancelledError):  # either side hangs up
            pass
        except Exception as error:
            with contextlib.suppress(ConnectionError):
                await peer.send(encode(error_event(error)))
        finally:
            self._clients.discard(task)
            await peer.close()

    async def _greet(self, peer: Peer) -> None:
        """Take the hello of somebody who may ask and who speaks the same language."""
        user = peer.user()
        if user is not None and user not in (0, os.geteuid()):
            raise OwnerError(f"The owner belongs to user {os.geteuid()}; you are user {user}.")
        try:
            said = await asyncio.wait_for(peer.read(), HELLO_WITHIN) or {}
        except TimeoutError:
            raise OwnerError(f"Expected a hello within {HELLO_WITHIN:g} s.") from None
        theirs, ours = (said.get("reindex"), said.get("release")), (PROTOCOL, __version__)
        if "reindex" not in said or said.get("token") != self._record.token:
            raise OwnerError("Expected the hello of a client of this project's registry.")
        if theirs != ours:
            raise OwnerError(
                f"The owner ({self._record}) runs reindex {__version__} (protocol {PROTOCOL}), "
                f"this is {theirs[1]} (protocol {theirs[0]}). Start the owner again with the "
                f"release that you want: kill {self._record.pid}, then `reindex own`."
            )
        peer.pid = peer.pid or int(said.get("pid", 0))
        welcome = {"event": "welcome", "pid": self._record.pid, "release": __version__}
        await peer.send(encode({**welcome, "protocol": PROTOCOL}))

    async def _answer(self, peer: Peer, request: dict[str, Any]) -> None:
        if request.get("job") == "jobs":
            value = [job.as_dict() for job in self._lanes.all()]
            await peer.send(encode({"event": "result", "value": value}))
        elif self._stopping.is_set():
            raise OwnerGone(f"The owner ({self._record}) is ending. Try again when it has.")
        elif request.get("job") in KINDS:
            task = asyncio.current_task()
            assert task is not None
            self._busy.add(task)
            try:
                await self._do(peer, request)
            finally:
                self._busy.discard(task)
        elif "cancel" not in request:  # that of a job that was done meanwhile
            raise OwnerError(f"There is no job {request.get('job')!r}.")

    async def _do(self, peer: Peer, request: dict[str, Any]) -> None:
        job, future, ahead = self._lanes.start(
            Asked(request["job"], request, peer.pid), lambda job: job.run(self._workspace)
        )
        try:
            if ahead is not None:
                await peer.send(encode({"event": "waiting", "for": str(ahead)}))
            await self._watch(peer, job, future)
        except BaseException:  # the asker went away
            if not job.kind.detached:
                job.stop(RunStopped("whoever asked for it has gone"))
                future.cancel()
            await asyncio.wait([asyncio.wrap_future(future)])
            raise

    async def _watch(self, peer: Peer, job: Job, future: Future[bytes]) -> None:
        """Pass progress on until the job has ended; stop it where the asker wants that."""
        loop = asyncio.get_running_loop()
        ending, said = asyncio.wrap_future(future), loop.time()
        while not ending.done():
            await asyncio.wait(
                {ending, peer.reading()}, timeout=LOOK_EVERY, return_when="FIRST_COMPLETED"
            )
            news = [encode(item) for item in job.news()]
            if not news and loop.time() - said >= ALIVE_EVERY:
                news = [encode({"event": "alive"})]
            if news:
                said = loop.time()
                await peer.send(*news)
            if peer.reading().done() and not ending.done():
                if await peer.read() is None:
                    raise ConnectionResetError
                job.stop(RunStopped("interrupted from where it was asked for"))
                future.cancel()
        if ending.cancelled():  # it had not begun
            await peer.send(job.run(self._workspace))
        else:
            await peer.send(*map(encode, job.news()), ending.result())
