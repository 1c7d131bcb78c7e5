"""How many rows are computed at once: fixed on a CPU, on a GPU what its memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from reindex.errors import ModelError
from reindex.losses import CACHED_ABOVE
from reindex.training.libraries import load

CACHED_ROWS = 32
"""Rows per forward pass with cached gradients, on a CPU."""

MEMORY_SHARE = 0.9
"""Of a GPU's memory that a probe may take: what is left is for the loss, and for fragments."""


@dataclass(frozen=True, slots=True)
class Passes:
    """Rows that are computed at once.

    Attributes:
        whole: the largest batch whose activations are all kept; gradients of larger ones are
            cached, where the loss has such a variant.
        rows: per forward pass with cached gradients.
    """

    whole: int = CACHED_ABOVE
    rows: int = CACHED_ROWS


ON_A_CPU = Passes()


def rows_at_once(fits: Callable[[int], bool], batch_size: int) -> int:
    """The whole batch, or else the largest power of two of its rows, that ``fits``; 0: none does.

    Larger ones are tried first, so that what fits at once costs one try.
    """
    halves = (2**power for power in range((batch_size - 1).bit_length() - 1, -1, -1))
    return next((rows for rows in (batch_size, *halves) if fits(rows)), 0)


def largest_batch(fits: Callable[[int], bool], most: int) -> int:
    """The largest power of two, up to ``most``, that ``fits``; 0: not a single row does."""
    rows = 0
    while max(1, 2 * rows) <= most and fits(max(1, 2 * rows)):
        rows = max(1, 2 * rows)
    return rows


def passes_of(model: Any, texts: int, batch_size: int, *, half: bool) -> Passes:
    """What is right for the device of ``model``, as it will be trained (frozen parts, adapters).

    Args:
        model: on the CPU nothing is tried.
        texts: per row: query, document, and negatives.
        batch_size: rows of a batch; no more are tried.
        half: whether training computes in bfloat16.

    Raises:
        ModelError: not even one row fits.
    """
    if model.device.type != "cuda":
        return ON_A_CPU
    with cuda_limit(MEMORY_SHARE):
        rows = rows_at_once(MemoryProbe(model, texts, half=half), batch_size)
    if not rows:
        raise ModelError(
            f"A training step of one row, {texts} texts of {model.max_seq_length} tokens, does not "
            "fit into the GPU's memory. Lower train.max_length or train.training_length, freeze "
            "layers (train.freeze_layers), or train adapters (train.lora.rank)."
        )
    return Passes(whole=rows, rows=rows)


@contextmanager
def cuda_limit(share: float) -> Iterator[None]:
    """Let this process take only a share of the GPU's memory for a while."""
    cuda = load("torch").cuda
    cuda.set_per_process_memory_fraction(share)
    try:
        yield
    finally:
        cuda.set_per_process_memory_fraction(1.0)


class MemoryProbe:
    """Whether a training step of so many rows of the longest texts goes through.

    A step is tried as it will be: every text's activations are kept until the backward pass, beside
    the gradients and room for the optimizer's two moments. Nothing of the model changes, and no
    random number is used up.

    Args:
        model: in the state in which it is trained.
        texts: per row, each of the model's maximum length.
        half: whether training computes in bfloat16.
    """

    def __init__(self, model: Any, texts: int, *, half: bool) -> None:
        self._torch = load("torch")
        self._model, self._texts, self._half = model, texts, half
        self._device = model.device
        self._longest = "the " * int(model.max_seq_length)

    def __call__(self, rows: int) -> bool:
        """False where the memory ran out; all that was taken is given back."""
        training = self._model.training
        try:
            with self._torch.random.fork_rng():
                self._step(rows)
        except self._torch.OutOfMemoryError:
            return False
        finally:
            self._model.zero_grad(set_to_none=True)
            self._model.train(training)
            if self._device.type == "cuda":
                self._torch.cuda.empty_cache()
        return True

    def _step(self, rows: int) -> None:
        moments = [self._torch.empty_like(item) for item in self._trained() for _ in range(2)]
        self._model.train()
        features = self._model.preprocess([self._longest] * rows)
        on_device = {
            key: value.to(self._device) if hasattr(value, "to") else value
            for key, value in features.items()
        }
        with self._torch.autocast(self._device.type, self._torch.bfloat16, enabled=self._half):
            vectors: Sequence[Any] = [
                self._model(dict(on_device))["sentence_embedding"] for _ in range(self._texts)
            ]
        self._torch.stack([item.float().sum() for item in vectors]).sum().backward()
        del moments

    def _trained(self) -> list[Any]:
        return [item for item in self._model.parameters() if item.requires_grad]
