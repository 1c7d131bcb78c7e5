"""A stand-in for a model that knows words: texts lie the nearer the more words they share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reindex.records import Vector
from tests.hash_encoder import HashEncoder


class WordEncoder(HashEncoder):
    """An `Encoder` whose vector of a text is the mean of its words' hash vectors."""

    def _encode(self, texts: Sequence[str]) -> Vector:
        sums = [
            super(WordEncoder, self)._encode(text.lower().split()).sum(axis=0) for text in texts
        ]
        vectors = np.stack(sums)
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)
