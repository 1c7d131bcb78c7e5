"""Where the owner's socket is: in a folder of its own that only this user may enter."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

from reindex.errors import OwnerError

MAX_PATH = 100
"""Bytes; `sun_path` holds 108 on Linux and 104 on macOS, one of them for the end."""

BACKLOG = 1024
"""Connections that may wait to be accepted, as far as the system lets them."""

_NAME = "socket"


def bind(home: Path) -> tuple[socket.socket, Path]:
    """A listening socket and its path: under the project's home, or else, if that path is too
    long, in the user's runtime folder or the temporary one.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise OwnerError("An owner needs Unix-domain sockets, which this system does not have.")
    path = _folder(home.resolve()) / _NAME
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind(str(path))
        path.chmod(0o600)
        server.listen(BACKLOG)
    except OSError as error:
        server.close()
        remove(path)
        raise OwnerError(f"The owner's socket {path} cannot be made: {error}.") from error
    return server, path


def _folder(home: Path) -> Path:
    for parent, prefix in (
        (home, "owner-"),
        (Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()), "reindex-"),
        (Path("/tmp"), "reindex-"),  # noqa: S108 (a private folder is made in it)
    ):
        longest = os.fsencode(parent / f"{prefix}12345678" / _NAME)  # mkdtemp adds 8 characters
        if len(longest) <= MAX_PATH and parent.is_dir():
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    raise OwnerError(
        f"There is no folder for the owner's socket: its path may have {MAX_PATH} bytes, which "
        f"{home} leaves no room for. Set XDG_RUNTIME_DIR or TMPDIR to a short, writable path."
    )


def remove(path: Path) -> None:
    """Remove a socket and its folder; what `bind` did not make is left alone."""
    if path.name == _NAME and path.parent.name.startswith(("owner-", "reindex-")):
        shutil.rmtree(path.parent, ignore_errors=True)
