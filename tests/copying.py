"""Copies of projects whose preallocated files stay sparse: a shard's log is 32 MB of holes."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

_CHUNK = 1 << 16
_ZEROS = bytes(_CHUNK)


def copy_project(source: Path, target: Path) -> Path:
    """Copy a closed project's folder; ``shutil`` alone would write every hole as zeros.

    The files beside a database go when its last connection does, which a thread that has just ended
    may still have: what stands in the log is put into the database, and they stay behind.
    """
    for database in source.rglob("*.db"):
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    beside = shutil.ignore_patterns("*.db-wal", "*.db-shm")
    return Path(shutil.copytree(source, target, copy_function=_copy_sparse, ignore=beside))


def _copy_sparse(source: str, target: str) -> str:
    with Path(source).open("rb") as reading, Path(target).open("wb") as writing:
        while chunk := reading.read(_CHUNK):
            if chunk == _ZEROS[: len(chunk)]:
                writing.seek(len(chunk), 1)
            else:
                writing.write(chunk)
        writing.truncate()
    shutil.copystat(source, target)
    return target
