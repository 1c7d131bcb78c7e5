"""A stand-in for a model: deterministic unit vectors from a hash of the text, fast."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from types import SimpleNamespace

import numpy as np

from reindex.records import Vector


class HashEncoder:
    """An `Encoder` whose vectors depend on the text and the seed alone; equal texts lie equal.

    ``calls`` and ``texts`` count what it was asked to embed.
    """

    def __init__(self, dim: int = 384, *, seed: int = 0, encoding: str = "") -> None:
        self.dim = dim
        self.space = f"hash-space-{dim}-{seed}"
        self.encoding = encoding or f"hash-encoding-{dim}-{seed}"
        self.manifest = SimpleNamespace(
            matryoshka_dims=(dim, dim // 2), certified_with=lambda encoding: {encoding}
        )
        self.version = ""
        self.calls = 0
        self.texts = 0
        # Odd multipliers, one per dimension: text hash × multiplier is a good mix in 64 bits.
        self._multipliers = np.random.default_rng(seed).integers(
            1, 2**63, dim, dtype=np.uint64
        ) | np.uint64(1)

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given."""
        self.calls += 1
        self.texts += len(texts)
        return self._encode(texts)

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """The same vectors as for documents."""
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> Vector:
        digests = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
        hashes = np.frombuffer(digests, np.uint64)
        mixed = (hashes[:, None] * self._multipliers) >> np.uint64(40)
        vectors = mixed.astype(np.float32) / np.float32(2**23) - np.float32(1)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
