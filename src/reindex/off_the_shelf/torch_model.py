"""A sentence-transformers model as an encoder, embedding as its own library does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from reindex.errors import ModelError
from reindex.off_the_shelf.model import LONGEST_DEFAULT, OffTheShelf
from reindex.prompts import declared_prompts
from reindex.records import Vector


def load_torch_model(
    name: str, place: str, prompts: tuple[str, str] | None, max_length: int | None
) -> OffTheShelf:
    """Load it in float32 (see `reindex.training.base.load_base`, which raises what this does)."""
    from reindex.training.base import load_base

    model = load_base(place, max_length=max_length, prompts=prompts, longest=LONGEST_DEFAULT)
    used = prompts or declared_prompts(model.prompts, model.default_prompt_name)
    return OffTheShelf(name, TorchModel(name, model, used), used, int(model.max_seq_length))


class TorchModel:
    """An `Encoder` over a loaded sentence-transformers model."""

    def __init__(self, name: str, model: Any, prompts: tuple[str, str]) -> None:
        self._name, self._model, self._prompts = name, model, prompts
        self.space = self.encoding = _content_hash(model, prompts)
        self.dim = int(self.encode_documents(["dimension"]).shape[1])

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given."""
        return self._encode(texts, self._prompts[1])

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """As documents, with the query prompt."""
        return self._encode(texts, self._prompts[0])

    def _encode(self, texts: Sequence[str], prompt: str) -> Vector:
        made = self._model.encode(
            list(texts), prompt=prompt, normalize_embeddings=True, show_progress_bar=False
        )
        vectors: Vector = np.asarray(made, dtype=np.float32)
        if not np.isfinite(vectors).all():
            raise ModelError(f"{self._name} computes vectors that are not finite.")
        return vectors


def _content_hash(model: Any, prompts: tuple[str, str]) -> str:
    """sha256 over tensors, modules, tokenizer, prompts and max length: all that decides vectors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    tokenizer = getattr(model.tokenizer, "backend_tokenizer", None)
    words = tokenizer.to_str() if tokenizer is not None else repr(model.tokenizer)
    facts = (str(model), words, prompts, int(model.max_seq_length), "torch float32")
    digest.update(repr(facts).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
