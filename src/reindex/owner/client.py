"""Asking the owner from another process."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any, BinaryIO, NoReturn

from reindex.errors import OwnerError, OwnerGone, OwnerSilent, RunStopped
from reindex.owner.wire import decode, encode, hello
from reindex.plain import error_from_plain, to_plain
from reindex.protocols import Progress, no_progress
from reindex.registry.owners import OwnerRecord
from reindex.workspace import Workspace


def ask(owner: OwnerRecord, job: str, arguments: Mapping[str, Any], workspace: Workspace) -> Any:
    """Have the owner do a job under this workspace's settings; its result as JSON types.

    Progress goes to the workspace's. Ctrl-C stops the job there.
    """
    settings = workspace.settings
    request = {
        "job": job,
        "arguments": to_plain(arguments),
        "settings": {**settings.model_dump(mode="json"), "root": str(settings.root)},
    }
    with Connection(owner, settings.owner.answer_timeout) as connection:
        return connection.ask(request, workspace.progress)


def running_jobs(workspace: Workspace) -> tuple[OwnerRecord | None, list[dict[str, Any]]]:
    """The living owner, if there is one, and what runs and waits in it, oldest first."""
    owner = workspace.other_owner()
    if owner is None:
        return None, []
    with Connection(owner, workspace.settings.owner.answer_timeout) as connection:
        return owner, list(connection.ask({"job": "jobs"}))


_AGAIN_S = 0.05


class Connection:
    """A line to the owner, good for one job after another. Not thread-safe."""

    def __init__(self, owner: OwnerRecord, patience: float) -> None:
        """``patience``: seconds without a sign of life before `OwnerSilent`."""
        self._owner, self._patience = owner, patience
        self._lines: BinaryIO | None = None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience)
        try:
            self._connect(time.monotonic() + patience)
            self._send({**hello(owner.token), "pid": os.getpid()})
            self._check(self._read())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; a job that runs for this connection is stopped."""
        if self._lines is not None:
            self._lines.close()
        self._socket.close()

    def ask(self, request: Mapping[str, Any], progress: Progress = no_progress) -> Any:
        """Send a request and wait for its result, as JSON types."""
        self._send(request)
        try:
            return self._wait(progress)
        except KeyboardInterrupt:
            self._send({"cancel": True})
            try:
                return self._wait(progress)
            except RunStopped as stopped:
                raise KeyboardInterrupt(str(stopped)) from None

    def _connect(self, until: float) -> None:
        try:
            self._find_room(until)
        except PermissionError as error:
            raise OwnerError(
                f"This project's owner, {self._owner}, belongs to another user, who alone may ask "
                f"it ({self._owner.address}). Run this as that user."
            ) from error
        except TimeoutError:
            self._silent()
        except OSError as error:
            raise OwnerSilent(
                f"This project's owner, {self._owner}, does not listen on {self._owner.address} "
                f"({error.strerror}). If it is just starting or ending, try again; otherwise end "
                f"it (kill {self._owner.pid}) and start another one: reindex own"
            ) from error
        self._lines = self._socket.makefile("rb")

    def _find_room(self, until: float) -> None:
        while True:
            try:
                return self._socket.connect(self._owner.address)
            except BlockingIOError:  # too many wait to be accepted
                if time.monotonic() >= until:
                    raise TimeoutError from None
                time.sleep(_AGAIN_S)

    def _check(self, welcome: Mapping[str, Any]) -> None:
        if welcome.get("event") != "welcome" or welcome.get("pid") != self._owner.pid:
            raise OwnerError(
                f"{self._owner.address} answers, but not as this project's owner, {self._owner}. "
                "Start another one: reindex own"
            )

    def _wait(self, progress: Progress) -> Any:
        waiting = ""
        while True:
            event = self._read()
            if event["event"] == "progress":
                progress(event["stage"], event["done"], event["total"])
                waiting = ""
            elif event["event"] == "waiting":
                waiting = f"waiting for {event['for']}"
            elif event["event"] == "alive" and waiting:
                progress(waiting, 0, None)
            elif event["event"] == "result":
                return event["value"]

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._socket.sendall(encode(message))
        except TimeoutError:
            self._silent()
        except OSError:  # it may have said why before it hung up: `_read` will tell
            pass

    def _read(self) -> dict[str, Any]:
        assert self._lines is not None
        try:
            line = self._lines.readline()
        except TimeoutError:
            self._silent()
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise OwnerGone(
                f"This project's owner, {self._owner}, ended before the work was done. What it "
                "did until then is kept; `reindex status` tells. Run the command again: it goes "
                "on from there, within a new owner (`reindex own`) or, without one, here."
            )
        event = decode(line)
        if event.get("event") == "error":
            raise error_from_plain(event)
        return event

    def _silent(self) -> NoReturn:
        pid = self._owner.pid
        raise OwnerSilent(
            f"This project's owner, {self._owner}, gave no sign of life for {self._patience:g} s. "
            f"If it is stopped, let it go on: kill -CONT {pid}. If it hangs, end it: kill {pid}, "
            f"or kill -9 {pid}; what it did until then is kept. Then run the command again."
        ) from None
