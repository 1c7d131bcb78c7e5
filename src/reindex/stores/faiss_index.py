"""FAISS in memory: the vectors of a collection by label, kept in step with its tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reindex.records import Vector
from reindex.stores.layout import prefix_of

Labels = NDArray[np.int64]
_ROWS = 8192
"""Vectors per step while loading: 12 MB at 384 dimensions."""


class VectorIndex:
    """An exact inner-product index (``IndexIDMap2`` over ``IndexFlatIP``) of one vector slot.

    A label belongs to one vector for ever: labels only grow, and a vector that is overwritten or
    deleted leaves its label in the table ``gone``. So what changed since the last look is found
    by two numbers. Not safe for several threads.

    Args:
        dim: of the collection's full vectors.
        prefix: index only so many first dimensions, renormalised; None: all.
    """

    def __init__(self, dim: int, prefix: int | None) -> None:
        self._dim, self._prefix = dim, prefix
        self._label = self._gone = 0
        self._index = self._empty()

    def catch_up(self, tables: sqlite3.Connection) -> None:
        """Bring the index to the state that ``tables`` show within the current transaction."""
        oldest, newest = tables.execute("SELECT min(n), max(n) FROM gone").fetchone()
        if oldest is not None and self._label and self._gone + 1 < oldest:
            self._index = self._empty()  # what went in between is no longer written down
            self._label = self._gone = 0
        if newest is not None and newest > self._gone:
            if self._label:
                self._remove(tables)
            self._gone = newest
        self._add(tables)

    def search(self, query: Vector, k: int, among: Labels | None) -> tuple[Labels, Vector]:
        """The ``k`` best labels (fewer, if there are fewer) with their scores, best first.

        Args:
            query: the full query vector ``(dim,)``.
            k: how many, at least 1.
            among: only these labels; None: all.
        """
        import faiss

        total = int(self._index.ntotal)
        if not total or (among is not None and not len(among)):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        chosen: dict[str, Any] = {}
        if among is not None:
            parameters: Any = faiss.SearchParameters  # its type stub knows no arguments
            chosen["params"] = parameters(sel=faiss.IDSelectorBatch(among))
        row, threads = self._slot(query[None, :]), faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)  # one query is one thread's work; more only wait (2-7 times)
        scores, labels = self._index.search(row, min(k, total), **chosen)
        faiss.omp_set_num_threads(threads)
        found = labels[0] >= 0
        return labels[0][found], scores[0][found]

    def _empty(self) -> Any:
        import faiss

        return faiss.IndexIDMap2(faiss.IndexFlatIP(self._prefix or self._dim))

    def _add(self, tables: sqlite3.Connection) -> None:
        rows = tables.execute(
            "SELECT label, vector FROM vectors WHERE label > ? ORDER BY label", (self._label,)
        )
        while chunk := rows.fetchmany(_ROWS):
            labels = np.fromiter((label for label, _ in chunk), np.int64, len(chunk))
            self._index.add_with_ids(self._slot(unpacked([v for _, v in chunk], self._dim)), labels)
            self._label = int(labels[-1])

    def _remove(self, tables: sqlite3.Connection) -> None:
        rows = tables.execute(
            "SELECT label FROM gone WHERE n > ? AND label <= ?", (self._gone, self._label)
        )
        labels = np.array([label for (label,) in rows], np.int64)
        if len(labels):
            self._index.remove_ids(labels)

    def _slot(self, vectors: Vector) -> Vector:
        return vectors if self._prefix is None else prefix_of(vectors, self._prefix)


def unpacked(blobs: Sequence[bytes], dim: int) -> Vector:
    """Stored vectors as one ``(n, dim)`` float32 array."""
    joined: Vector = np.frombuffer(b"".join(blobs), "<f4").reshape(-1, dim)
    return joined


def packed(vector: Vector) -> bytes:
    """A vector as it is stored: little-endian float32."""
    return vector.astype("<f4", copy=False).tobytes()
