"""Lighter training steps: the beginnings of texts alone, and no dropout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reindex.errors import ConfigError
from reindex.training.libraries import load

_RATES = ("dropout", "attention_dropout", "dropout_prob")
"""Attributes under which transformers' modules keep a rate as a plain number."""


@contextmanager
def cut_at(model: Any, length: int | None) -> Iterator[None]:
    """Let the model read ``length`` tokens of a text for a while; None: as many as it does.

    Raises:
        ConfigError: the model reads fewer.
    """
    before = model.max_seq_length if length is not None else None
    if length is not None:
        model.max_seq_length = length
    try:
        yield
    finally:
        if length is not None:
            model.max_seq_length = before


def check_length(training: int | None, serving: int) -> None:
    """Raise ConfigError where training steps would read more than serving does."""
    if training is not None and training > serving:
        raise ConfigError(
            f"train.training_length = {training} is more than the {serving} tokens that the model "
            "reads when it serves. Lower it, or raise train.max_length."
        )


def set_dropout(model: Any, rate: float) -> None:
    """Drop this share in every layer; what is saved of the model keeps its own rates.

    So do adapters, which have a rate of their own (``train.lora.dropout``).
    """
    layer = load("torch").nn.Dropout
    for place, module in model.named_modules():
        if isinstance(module, layer) and ".lora_dropout." not in place:
            module.p = rate
        for name in _RATES:
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)
