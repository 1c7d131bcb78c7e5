"""Copies of projects whose preallocated files stay sparse: a shard's log is 32 MB of holes."""

from __future__ import annotations

import shutil
from pathlib import Path

_CHUNK = 1 << 16
_ZEROS = bytes(_CHUNK)


def copy_project(source: Path, target: Path) -> Path:
    """Copy a closed project's folder; ``shutil`` alone would write every hole as zeros."""
    return Path(shutil.copytree(source, target, copy_function=_copy_sparse))


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
