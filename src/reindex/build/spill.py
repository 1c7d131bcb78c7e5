"""Sets and maps of millions of small keys in flat memory: sorted runs on disk.

A build must know which ids it has met (to find duplicates, and at the end what the source no
longer has) and which texts it has met (to embed each once). Both are fixed-width byte records:
the newest few wait in a dict, older ones lie in sorted files that are memory-mapped and searched
by bisection. Two files of like size are merged into one, so there are only log2(n) of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reindex.diskspace import disk_full, is_disk_full


class SortedRuns:
    """A map from keys of ``key`` bytes to values of ``value`` bytes; with ``value=0`` a set.

    Its files have no names (POSIX), so that a killed process leaves none behind. Not safe for
    several threads.
    """

    def __init__(self, *, key: int, value: int = 0, tail: int = 1 << 16) -> None:
        self._key, self._width = key, key + value
        self._limit = tail
        self._tail: dict[bytes, bytes] = {}
        self._runs: list[NDArray[np.bytes_]] = []

    def __len__(self) -> int:
        return len(self._tail) + sum(len(run) for run in self._runs)

    def add(self, key: bytes, value: bytes = b"") -> None:
        """Keep ``value`` under ``key``, which must not be there yet (sets count on it)."""
        self._tail[key] = value
        if len(self._tail) >= self._limit:
            self._spill()

    def find(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The value of each key (``b""`` in a set), or None where the key is not there."""
        found = [self._tail.get(key) for key in keys]
        if self._runs and keys:
            probes: NDArray[np.bytes_] = np.array(keys, dtype=f"S{self._width}")
            for run in self._runs:
                self._find_in(run, probes, found)
        return found

    def _find_in(
        self, run: NDArray[np.bytes_], probes: NDArray[np.bytes_], found: list[bytes | None]
    ) -> None:
        """Fill ``found`` from one run. A key alone sorts right before its key + value."""
        at = np.minimum(np.searchsorted(run, probes), len(run) - 1)
        records = run[at]
        same = records.astype(f"S{self._key}") == probes.astype(f"S{self._key}")
        for index in np.flatnonzero(same):
            # numpy strips trailing NULs from bytes that it hands out
            record = bytes(records[index]).ljust(self._width, b"\0")
            found[index] = record[self._key :]

    def _spill(self) -> None:
        records = [key + value for key, value in self._tail.items()]
        self._tail = {}
        self._runs.append(_sorted_file(np.array(records, dtype=f"S{self._width}")))
        while len(self._runs) > 1 and len(self._runs[-1]) >= len(self._runs[-2]):
            self._runs.append(_sorted_file(self._runs.pop(), self._runs.pop()))


def _sorted_file(*parts: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    """All parts in one sorted memory-mapped file; sorted in place, off the heap.

    Raises:
        DiskFull: the temporary folder is full. (Without reserving the room first, writing to the
            mapping would end the process with SIGBUS.)
    """
    try:
        return _merged_file(parts)
    except OSError as error:
        if not is_disk_full(error):
            raise
        folder, remedy = tempfile.gettempdir(), " or set TMPDIR to a larger folder"
        raise disk_full("What a build remembers", folder, error, remedy=remedy) from error


def _merged_file(parts: Sequence[NDArray[np.bytes_]]) -> NDArray[np.bytes_]:
    count = sum(map(len, parts))
    with tempfile.TemporaryFile(prefix="reindex-build-") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, count * parts[0].itemsize)
        merged: np.memmap[Any, np.dtype[np.bytes_]] = np.memmap(
            file, dtype=parts[0].dtype, mode="w+", shape=(count,)
        )
    np.concatenate(parts, out=merged)
    merged.sort()
    return merged
