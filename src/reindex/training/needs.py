"""What a training will need, measured here on a few of its pairs: memory, pairs per second."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reindex.corpus.training_sets import Row, texts_of
from reindex.records import image_path
from reindex.training import adapters
from reindex.training.adapters import quantization
from reindex.training.base import load_base
from reindex.training.batching import PackedForward
from reindex.training.freezing import freeze
from reindex.training.libraries import load
from reindex.training.lighter import check_length, set_dropout
from reindex.training.memory import anonymous_bytes, available_bytes, keep_freed_memory
from reindex.training.packing import pack
from reindex.training.passes import (
    CACHED_ROWS,
    MEMORY_SHARE,
    MemoryProbe,
    cuda_limit,
    largest_batch,
)
from reindex.training.prompts import prompts_of
from reindex.training.trainer import PACKED_ROWS, has_bf16

if TYPE_CHECKING:
    from reindex.config import TrainSettings

SAMPLE = 512
"""Pairs whose tokens are counted."""

PROBE = 8
"""Pairs that a step is measured with."""

MOST_TRIED = 8192
"""Rows of the largest batch that is tried on a GPU."""

SLACK = 1.15
"""Over what is kept for the gradients: their own temporaries, and batches longer than the mean."""


@dataclass(frozen=True, slots=True)
class TrainingNeeds:
    """What `reindex train` will need.

    Attributes:
        pairs: to train on; ``steps`` of ``batch_size`` in all epochs.
        tokens: per pair, with its negatives, after cutting at ``max_length``, or at
            ``train.training_length``, which is what a step reads; in 2D with padding, which is
            computed there.
        seconds: of the steps alone, at ``pairs_per_second``; evaluations come on top.
        state: bytes of weights, gradients and the optimizer's two moments; of adapters and frozen
            layers only what is trained has the latter. A guide's weights, too.
        activations: bytes that a step keeps for its gradients.
        memory: anonymous bytes of the whole process at its peak.
        available: bytes that the machine could still give before.
        largest_batch: rows that would fit into what is available; on a GPU those of the longest
            texts that were found to go through.
        packed: whether the architecture trains on packed texts.
    """

    base: str
    pairs: int
    steps: int
    batch_size: int
    max_length: int
    tokens: float
    pairs_per_second: float
    seconds: float
    state: int
    activations: int
    memory: int
    available: int | None
    largest_batch: int | None
    threads: int
    packed: bool

    @property
    def fits(self) -> bool:
        """Whether the memory is there; True where the system does not say."""
        return self.available is None or self.memory <= self.available


def measure_needs(
    settings: TrainSettings,
    examples: Sequence[Row],
    base: str,
    *,
    weight: float = 1.0,
    guide: str | None = None,
    cached: bool = False,
) -> TrainingNeeds:
    """Load the base, take two steps on a few pairs, and scale to a batch.

    ``weight``: how often an epoch goes through the examples. ``guide``: a model that is held in
    memory beside the one that is trained. ``cached``: every loss caches its gradients, so that
    a part of the batch is in memory at a time.

    On a GPU memory and speed are still those of the CPU's path; the largest batch is tried there.

    Raises:
        ModelError: the base cannot be had.
        MissingExtra: the [train] extra is not installed.
    """
    available = available_bytes()
    model = load_base(
        base,
        max_length=settings.max_length,
        prompts=prompts_of(settings, base),
        quantization=quantization(settings.lora),
        pooling=settings.pooling,
    )
    longest = int(model.max_seq_length)
    check_length(settings.training_length, longest)
    _as_trained(model, settings)
    tried = _largest_on_gpu(model, examples, settings)
    model = model.cpu()
    held = None if guide is None else load_base(guide, max_length=settings.max_length)
    beside = 0 if held is None else _weights(held)
    before = anonymous_bytes()
    keep_freed_memory()
    padded = settings.matryoshka == "2d"  # looks into the layers: texts go through as they come
    packed = not padded and pack(model)
    if not packed and not padded:
        model.forward = PackedForward(model.forward, PACKED_ROWS)
    sample = random.Random(settings.seed).sample(  # noqa: S311
        list(examples), min(SAMPLE, len(examples))
    )
    tokens = _tokens(model, sample, settings, padded=padded)
    probe = _Probe(model.train(), sample[:PROBE], beside, padded=padded)
    epoch = math.ceil(len(examples) * weight / settings.batch_size)
    steps = math.ceil(epoch * settings.epochs)
    forward_again = 4 / 3 if cached else 1  # a step's backward pass costs two of these
    per_row = probe.seconds / probe.tokens * tokens * forward_again
    step = per_row * settings.batch_size + probe.update
    at_once = CACHED_ROWS if cached else settings.batch_size
    memory = _memory(at_once, probe, tokens, before - probe.weights - beside, available)
    return TrainingNeeds(
        base=settings.base,
        pairs=len(examples),
        steps=steps,
        batch_size=settings.batch_size,
        max_length=longest,
        tokens=tokens,
        pairs_per_second=settings.batch_size / step,
        seconds=steps * step,
        threads=load("torch").get_num_threads(),
        packed=packed,
        available=available,
        **(memory | tried),
    )


def _as_trained(model: Any, settings: TrainSettings) -> None:
    """Adapters, frozen layers, shorter texts and dropout, as a training has them."""
    if settings.lora.rank:
        adapters.attach(model, settings.lora)
    if settings.freeze_layers is not None:
        freeze(model, settings.freeze_layers)
    if settings.dropout is not None:
        set_dropout(model, settings.dropout)
    if settings.training_length is not None:
        model.max_seq_length = settings.training_length


def _weights(model: Any) -> int:
    """In bytes."""
    return sum(item.nbytes for item in model.parameters())


def _largest_on_gpu(model: Any, examples: Sequence[Row], settings: TrainSettings) -> dict[str, int]:
    """The largest batch by trying, where there is a GPU; nothing else."""
    if model.device.type != "cuda":
        return {}
    texts = max(len(texts_of(item)) for item in examples)
    texts += settings.negatives.number if settings.negatives.sources and texts == 2 else 0
    with cuda_limit(MEMORY_SHARE):
        probe = MemoryProbe(model, texts, half=has_bf16("cuda"))
        return {"largest_batch": largest_batch(probe, MOST_TRIED)}


def _memory(
    rows: int, probe: _Probe, tokens: float, rest: int, available: int | None
) -> dict[str, Any]:
    """Bytes by part, of ``rows`` at once; ``rest`` is what the process holds beside the model."""
    per_row = probe.kept / probe.tokens * tokens
    fixed = rest + probe.state
    return {
        "state": probe.state,
        "activations": int(per_row * rows),
        "memory": fixed + int(SLACK * per_row * rows),
        "largest_batch": _largest(available, fixed, SLACK * per_row),
    }


class _Probe:
    """Two steps on a few pairs: seconds, and bytes that a forward pass keeps for its gradients."""

    def __init__(self, model: Any, pairs: Sequence[Row], beside: int, *, padded: bool) -> None:
        torch = load("torch")
        self._torch, self._model, self._pairs = torch, model, pairs
        self.tokens = len(pairs) * _mean([_lengths(model, pair) for pair in pairs], padded=padded)
        trained = [item for item in model.parameters() if item.requires_grad]
        own = {item.untyped_storage().data_ptr() for item in model.parameters()}
        self.weights = _weights(model)
        self.state = beside + self.weights + 3 * sum(item.nbytes for item in trained)
        self.kept = self._kept(own)  # and warmed up
        optimizer = torch.optim.AdamW(trained, lr=0.0)
        started = time.perf_counter()
        self._embed().sum().backward()
        self.seconds = time.perf_counter() - started
        optimizer.step()  # makes the moments
        started = time.perf_counter()
        optimizer.step()
        self.update = time.perf_counter() - started

    def _embed(self) -> Any:
        """Queries apart from documents, as in training."""
        first = [texts_of(pair)[0] for pair in self._pairs]
        others = [text for pair in self._pairs for text in texts_of(pair)[1:]]
        parts = [
            self._model(self._model.preprocess(texts))["sentence_embedding"]
            for texts in (first, others)
            if texts
        ]
        return self._torch.cat(parts)

    def _kept(self, own: set[int]) -> int:
        seen: dict[int, int] = {}

        def note(tensor: Any) -> Any:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                seen[storage.data_ptr()] = storage.nbytes()
            return tensor

        with self._torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self._embed().sum().backward()
        return sum(seen.values())


def _lengths(model: Any, pair: Row) -> list[int]:
    return [_length(model, text) for text in texts_of(pair)]


def _length(model: Any, text: str) -> int:
    """Tokens of a text; of an image its patches, and the one that stands for all."""
    if image_path(text):
        seen = model[0].auto_model.config.vision_config
        return int((seen.image_size // seen.patch_size) ** 2 + 1)
    return int(model.preprocess([text])["attention_mask"].sum())


def _tokens(model: Any, pairs: Sequence[Row], settings: TrainSettings, *, padded: bool) -> float:
    """Of a pair with all its negatives; those that are yet to be mined are as the positive is."""
    rows = []
    for pair in pairs:
        texts = _lengths(model, pair)
        mined = settings.negatives.number if settings.negatives.sources and len(texts) == 2 else 0
        rows.append(texts + mined * texts[1:2])
    return _mean(rows, padded=padded)


def _mean(rows: Sequence[Sequence[int]], *, padded: bool) -> float:
    """Tokens per row; ``padded``: the first texts to the longest of them, all others to theirs."""
    if not padded:
        return sum(map(sum, rows)) / len(rows)
    first = max(row[0] for row in rows)
    others = max((max(row[1:]) for row in rows if row[1:]), default=0)
    return first + others * sum(len(row) - 1 for row in rows) / len(rows)


def _largest(available: int | None, fixed: int, per_row: float) -> int | None:
    """Rounded down to a power of two, as people choose them; None where nobody knows."""
    if available is None:
        return None
    rows = int(max(0, available - fixed) / per_row)
    return 2 ** int(math.log2(rows)) if rows else 0
