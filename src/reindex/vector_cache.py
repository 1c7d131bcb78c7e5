"""Vectors of documents on disk, by encoding and text hash: nothing is embedded twice.

A collection that was dropped, renamed or sharded anew is built from here without the encoder. A
cache is never needed: what goes wrong with its files costs time, and no run.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from reindex.records import Vector

if TYPE_CHECKING:
    from reindex.protocols import Encoder

FORMAT = 1
SUFFIX = ".vectors"
MIN_FREE = 2**30
"""Bytes that stay free on the disk: below, nothing more is kept."""

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS vectors (
    number INTEGER PRIMARY KEY, text BLOB NOT NULL, vector BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS vectors_text ON vectors (text);
PRAGMA user_version = {FORMAT};
COMMIT;
"""
_WAIT = 10
"""Seconds to wait for another process that writes."""
_QUESTION = 500
"""Hashes per query."""

_log = logging.getLogger(__name__)

_Row = tuple[bytes, bytes, int]
"""Text hash, vector as little-endian float32, checksum of both."""
_Work = Callable[[sqlite3.Connection], Iterable[_Row]]


def cache_file(folder: Path, space: str, encoding: str, dim: int) -> Path:
    """Where the vectors of an encoding are. The space counts too: prompts are part of it alone."""
    name = hashlib.sha256(f"{space}\n{encoding}\n{dim}".encode()).hexdigest()[:32]
    return folder / f"{name}{SUFFIX}"


def cache_files(folder: Path) -> list[Path]:
    """All caches in a folder, the one written longest ago first."""
    files = [(cache_written(file), file) for file in folder.glob(f"*{SUFFIX}")]
    return [file for _, file in sorted(files)]


def cache_written(file: Path) -> float:
    """When a cache was last written, in seconds since the epoch."""
    return max((part.stat().st_mtime for part in _parts(file)[:2] if part.exists()), default=0.0)


def cache_size(file: Path) -> int:
    """Bytes on disk of one encoding's vectors."""
    return sum(part.stat().st_size for part in _parts(file) if part.exists())


def remove_cache(file: Path) -> None:
    """Delete one encoding's vectors; a process that has them open goes on with what it has."""
    for part in _parts(file):
        part.unlink(missing_ok=True)


def _parts(file: Path) -> list[Path]:
    return [file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))]


class VectorCache:
    """The vectors of one encoding. Several threads and processes may use one file.

    Args:
        file: `cache_file`; made where it is missing.
        dim: components of a vector.
        limit: bytes of all caches in the folder. Past it the caches of other encodings go first,
            the one written longest ago before the others, then the oldest rows of this one.

    A row whose checksum does not hold counts as missing, and is replaced; a file that is no
    database any more is begun anew.
    """

    def __init__(self, file: Path, dim: int, limit: int) -> None:
        self._file, self._dim, self._limit = file, dim, limit
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._off = self._renewed = False

    def recall(self, hashes: Sequence[str]) -> dict[str, Vector]:
        """The vectors that are here, by text hash: ``(dim,)`` float32."""
        found: dict[str, Vector] = {}
        for start in range(0, len(hashes), _QUESTION):
            part = [bytes.fromhex(item) for item in hashes[start : start + _QUESTION]]
            marks = ",".join("?" * len(part))
            question = f"SELECT text, vector, crc FROM vectors WHERE text IN ({marks})"  # noqa: S608
            for text, vector, crc in self._do(_asking(question, part)):
                if crc == _checksum(text, vector) and len(vector) == 4 * self._dim:
                    found[text.hex()] = np.frombuffer(vector, "<f4").astype(np.float32)
        return found

    def remember(self, vectors: Mapping[str, Vector]) -> None:
        """Keep vectors by text hash; equal hashes are overwritten."""
        rows = []
        for text_hash, vector in vectors.items():
            text, data = bytes.fromhex(text_hash), vector.astype("<f4").tobytes()
            rows.append((text, data, _checksum(text, data)))

        def write(database: sqlite3.Connection) -> list[_Row]:
            if shutil.disk_usage(self._file.parent).free < MIN_FREE:
                return []
            database.execute("BEGIN IMMEDIATE")
            database.executemany(
                "INSERT OR REPLACE INTO vectors (text, vector, crc) VALUES (?, ?, ?)", rows
            )
            self._make_room(database, len(rows))
            database.execute("COMMIT")
            return []

        if rows:
            self._do(write)

    def close(self) -> None:
        """Release the file. It is opened again where it is used further."""
        with self._lock:
            database, self._database = self._database, None
            if database is not None:
                database.close()

    def _do(self, work: _Work) -> list[_Row]:
        """Do ``work`` on the open file; without an answer where that cannot be done."""
        with self._lock:
            if self._off:
                return []
            try:
                self._database = self._database or self._open()
                return list(work(self._database))
            except (sqlite3.Error, OSError) as error:
                self._give_up(error)
                return []

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if cache_size(self._file) > 2 * self._limit:  # the limit was lowered a lot
            remove_cache(self._file)
        database = sqlite3.connect(
            self._file, timeout=_WAIT, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(database)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _give_up(self, error: sqlite3.Error | OSError) -> None:
        """A damaged file is begun anew, once; after any other error this run goes on without."""
        database, self._database = self._database, None
        if database is not None:
            database.close()
        damaged = not isinstance(error, sqlite3.OperationalError | OSError)
        if damaged and not self._renewed:
            _log.warning("%s is damaged (%s) and begun anew.", self._file, error)
            self._renewed = True
            with suppress(OSError):
                remove_cache(self._file)
            return
        _log.warning("%s is not used in this run: %s.", self._file, error)
        self._off = True

    def _make_room(self, database: sqlite3.Connection, added: int) -> None:
        """Keep to the limit: other encodings' caches go first, then the oldest rows of this one."""
        used = _used(database)
        others = [file for file in cache_files(self._file.parent) if file != self._file]
        while used + sum(map(cache_size, others)) > self._limit and others:
            remove_cache(others.pop(0))
        if used > self._limit:
            database.execute(
                "DELETE FROM vectors WHERE number IN "
                "(SELECT number FROM vectors ORDER BY number LIMIT ?)",
                (2 * added,),
            )


def _is_locked(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


@retry(
    retry=retry_if_exception(_is_locked),
    stop=stop_after_delay(_WAIT),
    wait=wait_random(0.01, 0.1),
    reraise=True,
)
def _prepare(database: sqlite3.Connection) -> None:
    """Several processes may be the first: SQLite's own time-out does not hold for WAL's start."""
    database.execute("PRAGMA page_size = 16384")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last rows
    database.executescript(_SCHEMA)


def _asking(question: str, values: Sequence[bytes]) -> _Work:
    return lambda database: database.execute(question, values)


def _used(database: sqlite3.Connection) -> int:
    """Bytes of the pages in use; those of deleted rows are used again."""
    pages, free, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _checksum(text: bytes, vector: bytes) -> int:
    return zlib.crc32(vector, zlib.crc32(text))


class CachedEncoder:
    """An encoder that remembers its documents' vectors: a `RememberingEncoder`."""

    def __init__(self, encoder: Encoder, cache: VectorCache) -> None:
        self._encoder = encoder
        self.recall, self.remember = cache.recall, cache.remember

    @property
    def space(self) -> str:
        """The encoder's space."""
        return self._encoder.space

    @property
    def encoding(self) -> str:
        """The encoder's encoding."""
        return self._encoder.encoding

    @property
    def dim(self) -> int:
        """Full dimension."""
        return self._encoder.dim

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """As the encoder does; whoever calls looks up first, and remembers."""
        return self._encoder.encode_documents(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """As the encoder does."""
        return self._encoder.encode_queries(texts)
