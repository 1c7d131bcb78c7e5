"""A small world of words in which one encoder is truly better: it knows the synonyms."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reindex.config import EvaluationSettings, GateSettings
from reindex.evaluation.compare import Comparison, Side, compare
from reindex.protocols import Encoder, Store
from reindex.records import (
    CollectionSpec,
    Document,
    Judgements,
    Layout,
    Point,
    Query,
    Stamp,
    Vector,
    payload_hash,
    point_id,
    text_hash,
)
from reindex.stores.edge import EdgeStore
from reindex.testing.catalog import MemoryCatalog

DIM = 48
WORDS = 400
PREFIX = 16


@cache
def word_vector(word: str) -> Vector:
    """Random, from the word alone; earlier dimensions weigh more, as in Matryoshka training."""
    seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
    weights = np.linspace(1.5, 0.5, DIM)
    vector: Vector = (np.random.default_rng(seed).normal(size=DIM) * weights).astype(np.float32)
    return vector


def _unit(vectors: NDArray[np.floating[Any]]) -> Vector:
    scaled: Vector = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


class WordEncoder:
    """Sums word vectors. ``known``: the share of synonyms (s12 for w12) that it understands.

    ``rounded`` vectors lie on a coarse grid of ``1 / grid``, as a quantized model's are near
    their originals.
    """

    def __init__(
        self, known: float, *, rounded: bool = True, dim: int = DIM, grid: int = 64
    ) -> None:
        self.known, self.rounded, self.dim, self.grid = known, rounded, dim, grid
        self.space = f"words-{known}-{dim}"
        self.encoding = f"{self.space}-{'int8' if rounded else 'fp32'}"
        self.texts = 0

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        self.texts += len(texts)
        vectors = _unit(np.stack([self._sum(text) for text in texts])[:, : self.dim])
        return _unit(np.round(vectors * self.grid) / self.grid) if self.rounded else vectors

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        return self.encode_documents(texts)

    def _sum(self, text: str) -> Vector:
        words = [word_vector(self._meaning(word)) for word in text.split()]
        return np.asarray(np.stack(words).sum(axis=0), dtype=np.float32)

    def _meaning(self, word: str) -> str:
        understood = word[0] == "s" and int(word[1:]) < self.known * WORDS
        return f"w{word[1:]}" if understood else word


@dataclass
class World:
    """Documents of six words, and queries with one of a document's words and two synonyms."""

    store: Store
    documents: list[Document]
    judgements: Judgements

    def build(
        self, version: str, encoder: Encoder, *, layout: Layout = "two-stage",
        documents: Sequence[Document] | None = None, oversampling: int = 20,
        prefix: int = PREFIX, dims: tuple[int, ...] = (DIM, 32, PREFIX),
    ) -> Side:  # fmt: skip
        """A collection of the encoder's vectors, and the side that searches it."""
        name, stored = f"world--{version}", self.documents if documents is None else documents
        first = prefix if layout == "two-stage" else None
        metadata = {"version": version, "space": encoder.space, "build": f"build-{version}"}
        self.store.create(CollectionSpec(name, encoder.dim, layout, first, metadata))
        if stored:
            self.store.insert(name, list(_points(stored, encoder, version)))
        return Side(version, name, encoder, oversampling, dims)

    def compare(
        self, live: Side, candidate: Side, *, judgements: Judgements | None = None,
        gate: GateSettings | None = None, root: Path = Path(), **settings: Any,
    ) -> Comparison:  # fmt: skip
        """Compare with fewer resamples than the default, for speed."""
        return compare(
            self.store, live, candidate, judgements or self.judgements,
            EvaluationSettings(**{"resamples": 500, "subset_documents": 150, **settings}),
            gate or GateSettings(), root=root, documents=lambda: iter(self.documents),
        )  # fmt: skip


def _points(documents: Sequence[Document], encoder: Encoder, version: str) -> Iterator[Point]:
    vectors = encoder.encode_documents([document.text for document in documents])
    for document, vector in zip(documents, vectors, strict=True):
        stamp = Stamp(
            document.id, encoder.space, encoder.encoding, f"build-{version}", "world",
            text_hash(document.text), payload_hash(document.payload), 1,
        )  # fmt: skip
        yield Point(point_id(document.id), vector, document.payload, stamp)


def make_world(folder: Path, *, documents: int = 300, queries: int = 120, seed: int = 3) -> World:
    """A world on an embedded store; ids are numbers, which judgements write as text."""
    rng = np.random.default_rng(seed)
    bags = [rng.choice(WORDS, size=6, replace=False) for _ in range(documents)]
    made = [
        Document(number, " ".join(f"w{word}" for word in bag), {"number": number})
        for number, bag in enumerate(bags)
    ]
    asked = [
        Query(f"q{number}", f"w{bag[0]} s{bag[1]} s{bag[2]}")
        for number, bag in enumerate(bags[:queries])
    ]
    qrels = {query.id: {str(number): 1} for number, query in enumerate(asked)}
    return World(EdgeStore(folder, MemoryCatalog()), made, Judgements(tuple(asked), qrels))
