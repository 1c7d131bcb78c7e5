"""Freezing: the embeddings and first layers of a model stay as the base has them."""

from __future__ import annotations

from typing import Any

from reindex.errors import ModelError

_STACKS = (
    "encoder.layer",  # BERT, RoBERTa, MPNet, XLM-R, ELECTRA, DeBERTa
    "transformer.layer",  # DistilBERT
    "layers",  # Qwen, Llama, Mistral, ModernBERT, Gemma
    "model.layers",
    "encoder.block",  # T5
    "encoder.layers",  # Nomic, BART
    "h",  # GPT-2
)
"""Where the architectures keep their layers."""


def freeze(model: Any, layers: int) -> None:
    """Freeze a model's embeddings and its first ``layers`` layers.

    Args:
        model: of sentence-transformers.
        layers: 0: the embeddings alone.

    Raises:
        ModelError: the model has fewer layers, or no trainable weight is left, or its layers are
            not where known architectures have them.
    """
    transformer = model[0].auto_model
    stack = _stack(transformer)
    if layers > len(stack):
        raise ModelError(
            f"train.freeze_layers = {layers}, but the base model has {len(stack)} layers. Expected "
            f"at most {len(stack) - 1}; 0 freezes the embeddings alone."
        )
    frozen = [_embeddings(transformer), *stack[:layers]]
    for part in frozen:
        for parameter in part.parameters():
            parameter.requires_grad_(False)
    if layers == len(stack):
        raise ModelError(
            f"train.freeze_layers = {layers} freezes every layer of the base model: nothing would "
            f"be trained. Expected at most {len(stack) - 1}."
        )


def _stack(transformer: Any) -> Any:
    for path in _STACKS:
        found = transformer
        for name in path.split("."):
            found = getattr(found, name, None)
        if found is not None and hasattr(found, "__len__"):
            return found
    raise ModelError(
        f"The layers of {type(transformer).__name__} are not where known architectures have them "
        f"({', '.join(_STACKS)}), so train.freeze_layers cannot be kept. Unset it, or train "
        "adapters: [train.lora]."
    )


def _embeddings(transformer: Any) -> Any:
    """All embeddings (tokens, positions, norm) where they are one module, else the tokens'."""
    return getattr(transformer, "embeddings", None) or transformer.get_input_embeddings()
