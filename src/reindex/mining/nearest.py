"""Candidates by a model: the documents nearest to a query, found exactly, in a stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reindex.mining.candidates import Candidates
from reindex.mining.snapshot import Snapshot
from reindex.protocols import Encoder, Progress, RememberingEncoder
from reindex.records import Vector, text_hash

BLOCK = 2048
"""Documents, and queries, whose scores are in memory at a time: 16 MB."""
_EMBEDDED = 256


def embed(encoder: Encoder, texts: Sequence[str]) -> Vector:
    """Document vectors ``(n, dim)``; those that are known from before are not computed."""
    if not isinstance(encoder, RememberingEncoder):
        return encoder.encode_documents(texts)
    hashes = [text_hash(text) for text in texts]
    known = encoder.recall(hashes)
    missing = {key: text for key, text in zip(hashes, texts, strict=True) if key not in known}
    keys = list(missing)
    for start in range(0, len(keys), _EMBEDDED):
        part = keys[start : start + _EMBEDDED]
        vectors = encoder.encode_documents([missing[key] for key in part])
        made = dict(zip(part, vectors, strict=True))
        encoder.remember(made)
        known |= made
    return np.stack([known[key] for key in hashes])


def nearest_candidates(
    encoder: Encoder, queries: Vector, snapshot: Snapshot, depth: int, progress: Progress
) -> Candidates:
    """The ``depth`` documents of highest cosine for each query vector ``(n, dim)``.

    Every document is compared with every query. Memory is that of the vectors of one block, the
    queries' own, and 12 bytes a candidate.
    """
    found = Candidates.empty("dense", len(queries))
    for start, texts in snapshot.blocks(BLOCK):
        vectors = embed(encoder, texts)
        numbers = np.arange(start, start + len(texts))
        parts = [
            _of_block(found, rows, queries, vectors, numbers, depth)
            for rows in _slices(len(queries))
        ]
        found = Candidates(
            "dense",
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.scores for part in parts]),
        )
        progress("embed", start + len(texts), len(snapshot))
    return found


def _slices(size: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK)]


def _of_block(
    found: Candidates, rows: slice, queries: Vector, vectors: Vector,
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.int64]], depth: int,
) -> Candidates:  # fmt: skip
    scores = queries[rows] @ vectors.T
    here = Candidates("dense", np.broadcast_to(numbers, scores.shape), scores)
    return Candidates("dense", found.numbers[rows], found.scores[rows]).best(here, depth)
