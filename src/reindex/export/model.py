"""A checkpoint folder -> the model to export: loaded, checked, hashed."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.artifact import POOLINGS
from reindex.encoder.pooling import ACTIVATIONS
from reindex.errors import ArtifactError, MissingExtra, ModelError, ReindexError
from reindex.training.architecture import pooling_of, positions, prepare
from reindex.training.images import is_text_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reindex.records import Vector

LONGEST_DEFAULT = 256
"""Tokens per text where nothing else is asked: what the recipes train with, and CPUs afford."""

_ARCHITECTURE = (
    "model_type", "hidden_act", "hidden_size", "num_attention_heads", "num_key_value_heads",
    "layer_norm_eps", "rms_norm_eps", "rope_theta", "rope_scaling", "position_embedding_type",
    "sliding_window",
)  # fmt: skip
"""Of a transformer's config: what decides vectors and is not a tensor."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A sentence-transformers model on the CPU, and what the manifest needs to know of it."""

    model: Any
    pooling: str
    dim: int
    heads: int
    max_length: int
    weights: str
    transformer: Any
    """The transformers model that reads texts."""
    dense: tuple[Any, ...] = ()
    """The dense layers behind the pooling."""
    include_prompt: bool = True

    @property
    def clip(self) -> Any | None:
        """The whole text–image model, where it is one."""
        return self.model[0].auto_model if is_text_image(self.model) else None

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.model.tokenizer

    def encode(self, texts: Sequence[str], prompt: str = "") -> Vector:
        """``(n, dim)`` float32 unit vectors by torch: what the exported graphs must agree with."""
        vectors: Vector = self.model.encode(
            list(texts), normalize_embeddings=True, prompt=prompt, show_progress_bar=False
        )
        return vectors.astype(np.float32)

    def skipped(self, prompt: str) -> int:
        """Tokens of ``prompt`` that the pooling leaves out: none, unless the model asks for it.

        Counted as sentence-transformers does: without a special token at the end.
        """
        if self.include_prompt or not prompt:
            return 0
        ids, longer = self.tokenizer([prompt, f"{prompt}a"])["input_ids"]
        skipped = len(ids) - (bool(ids) and ids[-1] in self.tokenizer.all_special_ids)
        if not skipped < min(len(longer), self.max_length):
            raise ArtifactError(
                f"The pooling leaves out the {skipped} tokens of the prompt {prompt!r}, and "
                f"nothing is left of a short text: {len(longer)} tokens with the prompt, at most "
                f"{self.max_length}. Let the prompt end without a space, or shorten it."
            )
        return skipped


def load_checkpoint(folder: Path, *, max_length: int | None) -> Checkpoint:
    """Load a sentence-transformers (or plain transformers) folder for export.

    Args:
        folder: the checkpoint.
        max_length: tokens per text; None: the model's own, at most 256.

    Raises:
        ModelError: there is no such folder, or it cannot be loaded.
        ArtifactError: it holds what an artifact cannot express.
        MissingExtra: the [export] extra is not installed.
    """
    if not (folder / "config.json").is_file() and not (folder / "modules.json").is_file():
        raise ModelError(
            f"Expected a checkpoint (a folder with config.json) at {folder}, found none. "
            "Train a version first, or pass the folder of a sentence-transformers model."
        )
    model = _load(folder)
    _check_modules(folder, model)
    transformer, dense = _text_side(model)
    model.max_seq_length = _max_length(folder, model, max_length)
    return Checkpoint(
        model=model,
        pooling=pooling_of(model),
        dim=int(dense[-1].out_features if dense else model[1].get_embedding_dimension()),
        heads=int(getattr(transformer.config, "num_attention_heads", 1)),
        max_length=int(model.max_seq_length),
        weights=_hash_weights(model),
        transformer=transformer,
        dense=dense,
        include_prompt=getattr(model[min(1, len(model) - 1)], "include_prompt", True),
    )


def _text_side(model: Any) -> tuple[Any, tuple[Any, ...]]:
    """The transformer that reads texts, and the dense layers behind its pooling."""
    if is_text_image(model):
        from reindex.export.images import text_tower

        transformer, projection = text_tower(model[0].auto_model)
        return transformer, (projection,)
    dense = tuple(layer for layer in model if type(layer).__name__ == "Dense")
    return model[0].auto_model, dense


def _load(folder: Path) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtra("export", "sentence-transformers") from None
    try:
        with quiet():
            model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
            prepare(model.eval().float(), name=str(folder), plain=not _has_modules(folder))
    except ReindexError:
        raise
    except Exception as error:  # whatever transformers, safetensors or tokenizers raise
        raise ModelError(
            f"{folder} cannot be loaded as a sentence-transformers model "
            f"({type(error).__name__}: {error})."
        ) from error
    return model


def _has_modules(folder: Path) -> bool:
    return (folder / "modules.json").is_file()


def _check_modules(folder: Path, model: Any) -> None:
    """Raises ArtifactError unless it is transformer -> pooling (-> dense …) (-> normalisation)."""
    names = [type(module).__name__ for module in model]
    if is_text_image(model) and names in (names[:1], [names[0], "Normalize"]):
        return
    behind = names[2:-1] if names[-1] == "Normalize" else names[2:]
    if names[:2] != ["Transformer", "Pooling"] or set(behind) - {"Dense"}:
        raise ArtifactError(
            f"{folder}: expected the modules Transformer, Pooling and, maybe, Dense and Normalize; "
            f"found {', '.join(names)}. Only such models can be exported."
        )
    pooling = pooling_of(model)
    if not set(pooling.split("+")) <= set(POOLINGS):
        raise ArtifactError(f"{folder}: expected pooling {', '.join(POOLINGS)}; found {pooling}.")
    for layer in model:
        activation = getattr(layer, "activation_function", None)
        kind = f"{type(activation).__module__}.{type(activation).__name__}"
        if activation is not None and kind not in ACTIVATIONS:
            raise ArtifactError(
                f"{folder}: expected a dense layer with one of {', '.join(ACTIVATIONS)}; found "
                f"{kind}, which the encoder lacks."
            )


def _max_length(folder: Path, model: Any, asked: int | None) -> int:
    limit = positions(model)
    if asked is not None and limit is not None and asked > limit:
        raise ArtifactError(
            f"{folder}: max_length {asked} was asked for, but the model has {limit} positions."
        )
    return asked or min(
        model.max_seq_length or LONGEST_DEFAULT, limit or LONGEST_DEFAULT, LONGEST_DEFAULT
    )


def _hash_weights(model: Any) -> str:
    """sha256 over the tensors (sorted by name) and the facts of the architecture beside them."""
    transformer = model[0].auto_model
    digest = hashlib.sha256()
    _add_tensors(digest, transformer)
    facts = [(key, getattr(transformer.config, key, None)) for key in _ARCHITECTURE]
    digest.update(repr(facts).encode())
    for layer in model:
        if type(layer).__name__ == "Dense":
            _add_tensors(digest, layer)
            digest.update(type(layer.activation_function).__name__.encode())
    return digest.hexdigest()


def _add_tensors(digest: Any, module: Any) -> None:
    for name, tensor in sorted(module.named_parameters()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the export libraries' chatter off stdout and their notes below errors, for a while.

    stdout belongs to the caller (it may be JSON); tracing and quantization warn of what is
    checked here by parity afterwards.
    """
    import warnings

    names = ("transformers", "sentence_transformers", "optimum", "onnx", "onnxruntime", "root")
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as sink, redirect_stdout(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
