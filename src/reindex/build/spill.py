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
from hashlib import sha1
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reindex.records import ID_NAMESPACE, PointId, point_id

KEY_BYTES = 17
"""One byte for the kind (0 integer, 1 UUID), 16 for the id: sorts as the stores scroll."""

_NAMESPACE = ID_NAMESPACE.bytes


def pack_id(id: PointId) -> bytes:
    """The point id as ``KEY_BYTES`` bytes."""
    if isinstance(id, int):
        return b"\0" + id.to_bytes(16, "big")
    return b"\1" + bytes.fromhex(id.replace("-", ""))


def unpack_id(key: bytes) -> PointId:
    """The inverse of `pack_id`."""
    if key[0] == 0:
        return int.from_bytes(key[1:], "big")
    return _canonical(key[1:].hex())


def point_key(document_id: int | str) -> tuple[PointId, bytes]:
    """``records.point_id`` and its packed form, at a third of the cost (RFC 9562, version 5)."""
    if not isinstance(document_id, str) or (len(document_id) == 36 and document_id[8] == "-"):
        id = point_id(document_id)
        return id, pack_id(id)
    raw = bytearray(sha1(_NAMESPACE + document_id.encode(), usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    return _canonical(raw.hex()), b"\1" + raw


def _canonical(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


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
        OSError: the temporary folder is full. (Without reserving the room first, writing to the
            mapping would end the process with SIGBUS.)
    """
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
