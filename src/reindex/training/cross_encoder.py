"""A cross-encoder as a judge: it reads query and document together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from reindex.errors import ModelError
from reindex.records import Vector
from reindex.training.architecture import is_cross_encoder
from reindex.training.base import resolve_base
from reindex.training.hub import without_hub
from reindex.training.libraries import load, quiet
from reindex.training.lineage import weights_hash

_BATCH = 32


class PairScorer:
    """sentence-transformers' CrossEncoder with one output; its own activation (mostly a sigmoid).

    Args:
        spec: a folder, a Hub id or package:NAME.
        max_length: tokens of query and document together; None: the model's own.

    Raises:
        ModelError: it cannot be found, fetched or loaded, gives more than one score, or embeds
            texts one by one: with a random head it would judge by chance.
        MissingExtra: the [train] extra is not installed.
    """

    def __init__(self, spec: str, *, max_length: int | None = None) -> None:
        place = resolve_base(spec)
        library = load("torch", "transformers", "sentence_transformers")
        local = without_hub(place)
        if not is_cross_encoder(place, local):
            raise ModelError(
                f"{spec!r} embeds texts one by one; a cross-encoder reads a query and "
                "a document together. Name it in train.negatives.model, or take one that was "
                "trained to rank, such as cross-encoder/ms-marco-MiniLM-L6-v2."
            )
        try:
            with quiet():
                self._model: Any = library.CrossEncoder(
                    place, max_length=max_length, trust_remote_code=False,
                    local_files_only=local,
                )  # fmt: skip
        except Exception as error:  # whatever the hub, transformers or tokenizers raise
            raise ModelError(
                f"The cross-encoder {spec!r} cannot be loaded ({type(error).__name__}: {error}). "
                "Expected a folder, a Hub id or package:NAME of a model for pairs of texts."
            ) from error
        labels = int(self._model.config.num_labels)
        if labels != 1:
            raise ModelError(
                f"{spec!r} gives {labels} scores for a pair, expected one. Take a cross-encoder "
                "that was trained to rank, such as cross-encoder/ms-marco-MiniLM-L6-v2."
            )
        self.key = self._key()

    def _key(self) -> str:
        """What decides the scores: weights, length and activation."""
        model = self._model
        parts = (
            weights_hash(model),
            str(getattr(model, "max_seq_length", None) or model.max_length),
            str(model.activation_fn),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def score(self, pairs: Sequence[tuple[str, str]]) -> Vector:
        """``(n,)`` float32, higher is better, in the order given."""
        with quiet():
            found = self._model.predict(
                list(pairs), batch_size=_BATCH, show_progress_bar=False, convert_to_numpy=True
            )
        return np.asarray(found, np.float32).reshape(-1)
