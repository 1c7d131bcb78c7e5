"""A version's torch weights as the encoder of documents: bulk work on CUDA devices, in fp16.

Queries stay with the int8 graph. Both are of one space: the weights are those that the artifact
was exported from, by their hash, and the probes are embedded again and compared when this loads.
Unlike the int8 graph's, a vector moves with its batch by the rounding of fp16.
"""

from __future__ import annotations

import copy
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.artifact import TOKENIZER_NAME, Manifest, load_manifest, torch_encoding, verify_files
from reindex.encoder import OTHER_HOST_COSINE
from reindex.encoder.batching import pad, token_batches
from reindex.encoder.pooling import Head
from reindex.encoder.runtime import TextTokenizer, unit
from reindex.errors import ArtifactError, ConfigError, MissingExtra, ProbeMismatch
from reindex.export.model import load_checkpoint
from reindex.records import Vector

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TOKEN_BUDGET = 65_536
"""Tokens of a batch, padding included: enough to fill a card, some hundred MB of activations. A
batch that does not fit into the card's memory is halved."""
DOCUMENTS = 4096
"""Documents per unit of work of a build, at least: enough to choose texts of one length from."""
SLICE = 1024
"""Texts that are tokenised at a time, while the devices embed those before."""


def cuda_devices(device: str) -> tuple[str, ...]:
    """``cuda`` (all that torch sees) or a list such as ``cuda:0,cuda:1`` -> the devices.

    Raises:
        MissingExtra: torch is not installed.
        ConfigError: torch finds no CUDA device, or not this one.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtra("export", "torch") from None
    present = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    wanted = present if device == "cuda" else device.split(",")
    if not present or not set(wanted) <= set(present):
        raise ConfigError(
            f"embed.device is {device!r}, but torch {torch.__version__} finds "
            f"{', '.join(present) or 'no CUDA device'} here. Install a torch with CUDA and a "
            'driver for it, or set embed.device = "cpu".'
        )
    return tuple(wanted)


class TorchEncoder:
    """Embeds documents with torch, in batches of texts of similar length, on several devices.

    Args:
        folder: the artifact's folder: manifest and tokenizer.
        checkpoint: the weights that it was exported from.
        devices: torch devices; fp16 on CUDA, fp32 on the CPU.
        token_budget: tokens of a batch, padding included.

    Raises:
        ArtifactError: the checkpoint is not what the artifact was exported from.
        ProbeMismatch: the vectors are not those of the artifact's space.
        MissingExtra: sentence-transformers or torch is not installed.
    """

    def __init__(
        self,
        folder: Path,
        checkpoint: Path,
        *,
        devices: Sequence[str],
        token_budget: int = TOKEN_BUDGET,
    ) -> None:
        self.manifest = load_manifest(folder)
        verify_files(folder, self.manifest, [])
        model = load_checkpoint(checkpoint, max_length=self.manifest.max_length)
        if model.weights != self.manifest.weights:
            raise ArtifactError(
                f"{checkpoint} is not what {folder} was exported from: expected weights "
                f"{self.manifest.weights[:16]}…, found {model.weights[:16]}…. Restore the "
                'checkpoint, or set embed.device = "cpu".'
            )
        if self.manifest.images is not None:
            raise ArtifactError(
                f"{folder} holds a text–image model, whose documents torch does not embed in bulk. "
                'Set embed.device = "cpu".'
            )
        half = all(device.startswith("cuda") for device in devices)
        self.dtype = "float16" if half else "float32"
        self.token_budget = token_budget
        self.batch_size = DOCUMENTS
        self._tokenise = TextTokenizer(folder / TOKENIZER_NAME, self.manifest.max_length)
        self._head = Head(folder, self.manifest)
        self._devices = [
            _Device(model.transformer, name, self.dtype, self.manifest) for name in devices
        ]
        self._check_probes(folder)

    @property
    def space(self) -> str:
        """The space of the artifact."""
        return self.manifest.space

    @property
    def encoding(self) -> str:
        """Names these vectors: torch, its number format, the weights."""
        return torch_encoding(self.manifest.weights, self.dtype)

    @property
    def dim(self) -> int:
        """Full dimension."""
        return self.manifest.dim

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given; the document prompt is added."""
        return self._encode(self.manifest.document_prompt, texts, self.manifest.skipped[1])

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """As documents, with the query prompt. Searches use the int8 graph instead."""
        return self._encode(self.manifest.query_prompt, texts, self.manifest.skipped[0])

    def _encode(self, prompt: str, texts: Sequence[str], skipped: int) -> Vector:
        out = np.empty((len(texts), self.dim), np.float32)
        free: queue.SimpleQueue[_Device] = queue.SimpleQueue()
        for device in self._devices:
            free.put(device)

        def embed(tokens: list[list[int]], rows: list[int], start: int) -> None:
            device = free.get()
            try:
                pooled = device.embed([tokens[row] for row in rows], skipped)
                if self.manifest.head:
                    pooled = np.stack([self._head(vector) for vector in pooled])
                out[[start + row for row in rows]] = unit(pooled)
            finally:
                free.put(device)

        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(len(self._devices)) as workers:
            starts = range(0, len(texts), SLICE)
            sliced = ([prompt + text for text in texts[at : at + SLICE]] for at in starts)
            coming = (reader.submit(self._tokenise, part) for part in sliced)
            running: list[Future[None]] = []
            ahead = next(coming, None)
            for start in starts:
                assert ahead is not None
                tokens, ahead = ahead.result(), next(coming, None)
                batches = token_batches([len(ids) for ids in tokens], self.token_budget)
                done, running = (
                    running,
                    [workers.submit(embed, tokens, rows, start) for rows in batches],
                )
                for future in done:
                    future.result()
            for future in running:
                future.result()
        if not np.isfinite(out).all():
            raise ArtifactError(
                f"{self.manifest.base} overflows in {self.dtype}: some vectors are not finite. Set "
                'embed.device = "cpu".'
            )
        return out

    def _check_probes(self, folder: Path) -> None:
        """The artifact's probes, embedded here, against its fp32 graph's vectors of them."""
        probes = self.manifest.probes
        found = self.encode_documents(probes.texts)
        cosine = float((found * probes.matrix("fp32")).sum(axis=1).min())
        if not cosine >= OTHER_HOST_COSINE:
            raise ProbeMismatch(
                f"torch ({self.dtype}) computes other vectors than {folder}: expected a cosine of "
                f'at least {OTHER_HOST_COSINE}, found {cosine:.5f}. Set embed.device = "cpu".'
            )


class _Device:
    """The model on one device."""

    def __init__(self, transformer: Any, name: str, dtype: str, manifest: Manifest) -> None:
        import torch

        self._name, self._pooling, self._longest = name, manifest.pooling, manifest.max_length
        self._model = copy.deepcopy(transformer).to(name, getattr(torch, dtype)).eval()
        self._padding = int(transformer.config.pad_token_id or 0)

    def embed(self, tokens: list[list[int]], skipped: int) -> Vector:
        """Texts of similar length -> pooled, ``(n, dim)``; halved where memory is short."""
        import torch

        try:
            return self._run(tokens, skipped)
        except torch.OutOfMemoryError:
            if len(tokens) == 1:
                raise
        if self._name.startswith("cuda"):
            torch.cuda.empty_cache()
        middle = len(tokens) // 2
        return np.concatenate(
            [self.embed(part, skipped) for part in (tokens[:middle], tokens[middle:])]
        )

    def _run(self, tokens: list[list[int]], skipped: int) -> Vector:
        import torch

        ids, mask = (self._put(array) for array in pad(tokens, self._padding, self._longest))
        with torch.inference_mode():
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
            modes = self._pooling.split("+")
            pooled = [_POOLING[mode](hidden, mask, skipped) for mode in modes]
            found: Vector = torch.cat(pooled, dim=1).cpu().numpy()
        return found

    def _put(self, array: NDArray[np.int64]) -> Any:
        import torch

        return torch.from_numpy(array).to(self._name, non_blocking=True)


def _counted(mask: Any, skipped: int) -> Any:
    """The tokens that are pooled, ``(n, tokens, 1)``; padding is on the right.

    The prompt is left out, but of a text that holds nothing else its last token stays.
    """
    counted = mask.clone()
    rows = range(len(mask))
    counted[:, :skipped] = 0
    counted[rows, mask.sum(dim=1) - 1] = 1
    return counted[:, :, None]


def _average(hidden: Any, weights: Any, power: float = 1.0) -> Any:
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1) ** power


_POOLING: dict[str, Callable[[Any, Any, int], Any]] = {
    "mean": lambda hidden, mask, skipped: _average(hidden, _counted(mask, skipped)),
    "cls": lambda hidden, mask, skipped: hidden[
        range(len(hidden)), _counted(mask, skipped)[:, :, 0].argmax(dim=1)
    ],
    "lasttoken": lambda hidden, mask, _: hidden[range(len(hidden)), mask.sum(dim=1) - 1],
    "max": lambda hidden, mask, skipped: hidden.masked_fill(
        _counted(mask, skipped) == 0, float("-inf")
    ).amax(dim=1),
    "weightedmean": lambda hidden, mask, skipped: _average(
        hidden, _counted(mask, skipped) * mask.cumsum(dim=1)[:, :, None]
    ),
    "mean_sqrt_len_tokens": lambda hidden, mask, skipped: _average(
        hidden, _counted(mask, skipped), 0.5
    ),
}
"""`reindex.encoder.pooling`, for padded batches of ``(n, tokens, width)``."""
