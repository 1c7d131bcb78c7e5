"""Several versions as one: their vectors side by side, weighted, as one unit vector.

The components are interleaved by Matryoshka dimension: the first block holds the first block of
every member, and so on. A prefix then holds a prefix of every member, which is what makes a first
stage over it work; with the vectors one behind the other, a short prefix would be the first member
alone. Reordering changes no cosine of full vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reindex.encoder.onnx import OnnxEncoder
from reindex.encoder.runtime import available_cores, unit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reindex.artifact import Manifest
    from reindex.encoder.tuning import ThreadReport
    from reindex.records import Vector


class EnsembleEncoder(OnnxEncoder):
    """Embeds texts by all members of an ensemble. Used as an `OnnxEncoder` is; see there."""

    def __init__(
        self,
        folder: Path,
        *,
        manifest: Manifest,
        graph: str = "int8",
        threads: int | None = None,
        verify: bool = True,
        tune: bool = False,
        lone_threads: int = 1,
    ) -> None:
        self.manifest = manifest
        self.folder = folder
        self.graph = graph
        self.file = folder / manifest.graph(graph).file
        self.threads = threads or available_cores()
        self.tuning: ThreadReport | None = None
        self._images = None  # members embed texts alone
        self._members = [
            OnnxEncoder(
                folder / member.folder,
                graph=graph,
                threads=threads,
                verify=verify,
                tune=tune,
                lone_threads=lone_threads,
            )
            for member in manifest.members
        ]
        self._weights = [np.float32(member.weight) for member in manifest.members]
        self._order = interleaving([e.manifest.matryoshka_dims for e in self._members])
        if verify:
            self.check_probes()

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length; every member adds its own document prompt."""
        return self._join([member.encode_documents(texts) for member in self._members])

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length; every member adds its own query prompt."""
        return self._join([member.encode_queries(texts) for member in self._members])

    def count_tokens(self, texts: Sequence[str], *, queries: bool) -> list[int]:
        """Of each text, by the member that makes most of it; see `OnnxEncoder.count_tokens`."""
        each = [member.count_tokens(texts, queries=queries) for member in self._members]
        return [max(counts) for counts in zip(*each, strict=True)]

    def close(self) -> None:
        """Stop all members' threads."""
        for member in self._members:
            member.close()

    def _join(self, vectors: list[Vector]) -> Vector:
        weighted = [w * rows for w, rows in zip(self._weights, vectors, strict=True)]
        joined = np.ascontiguousarray(np.concatenate(weighted, axis=1)[:, self._order])
        rows = [unit(row) for row in joined]  # alone: a sum over a matrix adds in another order
        return np.stack(rows) if rows else joined


def joined_dims(members: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The Matryoshka dimensions of an ensemble: its members' together, the full one first.

    Args:
        members: each one's Matryoshka dimensions, the full one first.
    """
    return tuple(sum(cuts) for cuts in _levels(members))


def interleaving(members: Sequence[Sequence[int]]) -> NDArray[np.intp]:
    """Where each component of an ensemble stands in its members' vectors, one behind the other."""
    starts = np.cumsum([0, *(dims[0] for dims in members)])
    order: list[int] = []
    before = [0] * len(members)
    for cuts in reversed(_levels(members)):
        for start, low, high in zip(starts, before, cuts, strict=False):
            order.extend(range(start + low, start + high))
        before = list(cuts)
    return np.array(order, dtype=np.intp)


def _levels(members: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Per Matryoshka dimension of the first member each one's cut, the full ones first.

    A member that was trained with other cuts is cut at the same share of its dimension.
    """
    first = members[0]
    if all(len(dims) == len(first) for dims in members):
        return list(zip(*members, strict=True))
    shares = [dim / first[0] for dim in first]
    cuts = [tuple(max(1, round(share * dims[0])) for dims in members) for share in shares]
    return list(dict.fromkeys(cuts))
