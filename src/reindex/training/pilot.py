"""Trainings on slices of the pairs, each measured: the points of a learning curve."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reindex.losses import fitting
from reindex.records import TrainingExample
from reindex.training.embedding import ModelEncoder
from reindex.training.finetune import fine_tune
from reindex.training.objectives import as_objectives
from reindex.training.prompts import prompts_of

if TYPE_CHECKING:
    from reindex.config import TrainSettings

SHARES = (1 / 8, 1 / 4, 1 / 2)
"""Of a slice: what is trained on, one after the other, each holding the one before."""
SMALLEST = 64
"""Pairs: fewer say nothing."""
PAIR_COST = 4.0
"""Texts that could be embedded in the time of training on one pair: forward and back, two texts
of which one is short (measured: 3.5 to 4)."""


def encoder_of(spec: str, settings: TrainSettings) -> ModelEncoder:
    """A base model or checkpoint in torch, reading as its artifact would.

    Raises:
        ModelError, MissingExtra: as `reindex.training.base.load_base`.
    """
    prompts = prompts_of(settings, spec)
    return ModelEncoder(
        spec, max_length=settings.max_length, prompts=prompts, pooling=settings.pooling
    )


@dataclass(frozen=True, slots=True)
class Trained:
    """A training on a slice: its encoder, and the seconds that the training took."""

    pairs: int
    seconds: float
    encoder: ModelEncoder


def of_slices(
    settings: TrainSettings, examples: Sequence[TrainingExample]
) -> tuple[TrainSettings, str]:
    """The settings as slices of the pairs are trained with, and what these leave out.

    Negatives are not mined, no teacher is asked, nothing is averaged with the base: each would
    cost more than the pilot has, or a dev set of its own.
    """
    [objective] = as_objectives(examples, None)
    kind, scored = objective.data.kind, all(row.scores for row in examples)
    loss = settings.loss if settings.loss in fitting(kind, scored=scored) else None
    plain = {
        "negatives": type(settings.negatives)(),
        "teacher": None,
        "averaging": type(settings.averaging)(),
        "loss": loss,
        "rotate": False,  # changes nothing that a pilot measures
    }
    names = {
        "negatives": "mined negatives",
        "teacher": "a teacher",
        "averaging": "the average with the base",
        "loss": f"the loss {settings.loss}",
    }
    left_out = [name for key, name in names.items() if getattr(settings, key) != plain[key]]
    return settings.model_copy(update=plain), ", ".join(left_out)


def slice_size(examples: int, texts_per_second: float, seconds: float, epochs: float) -> int:
    """How large a slice can be whose eighth, quarter and half train within ``seconds``."""
    return int(min(examples, seconds / slice_seconds(1, texts_per_second, epochs)))


def slice_seconds(size: int, texts_per_second: float, epochs: float) -> float:
    """How long an eighth, a quarter and a half of ``size`` pairs train."""
    return size * sum(SHARES) * epochs * PAIR_COST / texts_per_second


def train_slices(
    settings: TrainSettings,
    examples: Sequence[TrainingExample],
    folder: Path,
    *,
    base: str,
    size: int,
    may_begin: Callable[[float], bool],
) -> Iterator[Trained]:
    """Train ``base`` on nested slices of ``size`` pairs, smallest first, one at a time.

    ``may_begin(seconds)`` says whether a training that will take so long may still begin; a slice
    that may not is left out, and so are those after it. Nothing stays in ``folder``.
    """
    order = random.Random(settings.seed).sample(list(examples), len(examples))  # noqa: S311
    whole = size == len(examples)
    counts = sorted({max(SMALLEST, round(size * share)) for share in (*SHARES, *([1.0] * whole))})
    per_pair = 0.0
    for count in counts:
        if count > len(examples) or not may_begin(per_pair * count):
            return
        done = _train(settings, order[:count], folder, base)
        per_pair = done.seconds / count
        yield done


def _train(
    settings: TrainSettings, examples: Sequence[TrainingExample], folder: Path, base: str
) -> Trained:
    started = time.monotonic()
    try:
        result = fine_tune(settings, examples, None, folder, base=base, resume=False)
        encoder = encoder_of(str(result.checkpoint), settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Trained(len(examples), time.monotonic() - started, encoder)
