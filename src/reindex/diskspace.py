"""The disk: how to know a full one and what to say, and what survives a power cut."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from reindex.errors import DiskFull

_ERRNOS = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_SQLITE = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_TRUNCATE"}
_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")


def is_disk_full(error: BaseException | None) -> bool:
    """Whether ``error`` is a full disk's, a quota's or a file size limit's, also at second hand."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _ERRNOS:
            return True
        if getattr(error, "sqlite_errorname", None) in _SQLITE:
            return True
        if any(words in str(error) for words in _WORDS):
            return True
        error = error.__cause__
    return False


def disk_full(what: str, path: Path | str, error: object, *, remedy: str = "") -> DiskFull:
    """The error for ``what`` that cannot be written at ``path``."""
    return DiskFull(
        f"{what} cannot be written: no room on the disk of {path} ({error}). What was done until "
        f"then is kept, and nothing was deleted. Free some space{remedy}, then run the same "
        "command again: it goes on from there."
    )


def sync_to_disk(path: Path) -> None:
    """Return once a file, or the names in a folder, would survive a power cut."""
    if path.is_dir() and os.name != "posix":
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
