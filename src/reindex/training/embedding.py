"""A sentence-transformers model as an encoder: for what has no artifact, as a stronger model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from reindex.records import Vector
from reindex.training.base import load_base
from reindex.training.libraries import quiet
from reindex.training.lineage import weights_hash


class ModelEncoder:
    """Embeds with torch in float32, on the device that sentence-transformers finds.

    Args:
        base: what `reindex.training.base.resolve_base` takes.
        max_length: tokens per text; None: the model's own, at most 256.
        prompts: put before queries and documents; None: those that the model brings, if any.
        pooling: how token vectors become one; None: the model's own.

    Raises:
        ModelError: it cannot be found, fetched or loaded, or ``pooling`` does not fit it.
        MissingExtra: the [train] extra is not installed.
    """

    def __init__(
        self, base: str, *, max_length: int | None = None,
        prompts: tuple[str, str] | None = ("", ""), pooling: str | None = None,
    ) -> None:  # fmt: skip
        self._model: Any = load_base(base, max_length=max_length, prompts=prompts, pooling=pooling)
        self._prompts = prompts or _own_prompts(self._model)
        self.dim = int(self._encode("", ["dimension"]).shape[1])
        length = self._model.max_seq_length
        how = f"{weights_hash(self._model)}\n{self._prompts}\n{length}"
        how += "" if pooling is None else f"\n{pooling}"
        self.space = hashlib.sha256(how.encode()).hexdigest()
        self.encoding = f"torch-{self.space}"

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given."""
        return self._encode(self._prompts[1], texts)

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given."""
        return self._encode(self._prompts[0], texts)

    def _encode(self, prompt: str, texts: Sequence[str]) -> Vector:
        with quiet():
            vectors = self._model.encode(
                list(texts), prompt=prompt, batch_size=32, normalize_embeddings=True,
                show_progress_bar=False, convert_to_numpy=True,
            )  # fmt: skip
        return np.asarray(vectors, np.float32)


def _own_prompts(model: Any) -> tuple[str, str]:
    """For queries and for documents, under the names that models use."""
    known: dict[str, str] = model.prompts or {}
    document = next((known[key] for key in ("document", "passage", "corpus") if known.get(key)), "")
    return known.get("query") or "", document
