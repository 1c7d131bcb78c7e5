"""A checkpoint folder -> the model to export: loaded, checked, hashed."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from reindex.artifact import Pooling
from reindex.errors import ArtifactError, MissingExtra, ModelError

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
    pooling: Pooling
    dim: int
    heads: int
    max_length: int
    weights: str

    @property
    def transformer(self) -> Any:
        """The transformers model inside."""
        return self.model[0].auto_model

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer."""
        return self.model.tokenizer

    def encode(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32 unit vectors by torch: what the exported graphs must agree with."""
        vectors: Vector = self.model.encode(
            list(texts), normalize_embeddings=True, prompt="", show_progress_bar=False
        )
        return vectors.astype(np.float32)


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
    pooling = _pooling_of(folder, model)
    transformer = model[0].auto_model
    model.max_seq_length = _max_length(folder, model, max_length)
    return Checkpoint(
        model=model,
        pooling=pooling,
        dim=int(transformer.config.hidden_size),
        heads=int(getattr(transformer.config, "num_attention_heads", 1)),
        max_length=int(model.max_seq_length),
        weights=_hash_weights(transformer),
    )


def _load(folder: Path) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise MissingExtra("export", "sentence-transformers") from None
    try:
        with quiet():
            model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except Exception as error:  # whatever transformers, safetensors or tokenizers raise
        raise ModelError(
            f"{folder} cannot be loaded as a sentence-transformers model "
            f"({type(error).__name__}: {error})."
        ) from error
    return model.eval().float()


def _pooling_of(folder: Path, model: Any) -> Pooling:
    """The pooling, if the model is transformer -> pooling -> (normalisation) and no more."""
    names = [type(module).__name__ for module in model]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ArtifactError(
            f"{folder}: expected the modules Transformer, Pooling and, maybe, Normalize; found "
            f"{', '.join(names)}. Only such models can be exported."
        )
    mode = model[1].pooling_mode
    if mode not in get_args(Pooling):
        raise ArtifactError(
            f"{folder}: expected pooling {', '.join(get_args(Pooling))}; found {mode}."
        )
    if getattr(model[0], "do_lower_case", False) or not getattr(model[1], "include_prompt", True):
        raise ArtifactError(
            f"{folder}: lower-casing outside the tokenizer and prompts left out of the pooling "
            "cannot be exported. Use a model without them."
        )
    pooling: Pooling = mode
    return pooling


def _max_length(folder: Path, model: Any, asked: int | None) -> int:
    limit = getattr(model[0].auto_model.config, "max_position_embeddings", None)
    if asked is not None and limit is not None and asked > limit:
        raise ArtifactError(
            f"{folder}: max_length {asked} was asked for, but the model has {limit} positions."
        )
    return asked or min(model.max_seq_length or LONGEST_DEFAULT, LONGEST_DEFAULT)


def _hash_weights(transformer: Any) -> str:
    """sha256 over the tensors (sorted by name) and the facts of the architecture beside them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(transformer.named_parameters()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    facts = [(key, getattr(transformer.config, key, None)) for key in _ARCHITECTURE]
    digest.update(repr(facts).encode())
    return digest.hexdigest()


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
