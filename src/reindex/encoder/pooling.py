"""Token vectors of one text -> its vector: pooling, and the dense layers that may follow it.

The functions take ``hidden``, ``(tokens, width)`` without padding, and ``first``, the first token
that counts: behind the prompt where a model leaves that out. Definitions as in
sentence-transformers' ``Pooling``, so that a checkpoint and its artifact agree.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reindex.errors import ArtifactError
from reindex.records import Vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from reindex.artifact import Manifest

_DTYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}


def _weighted_mean(hidden: Vector, first: int) -> Vector:
    """Later tokens weigh more (Muennighoff 2022, arXiv:2202.08904): by position, from 1."""
    weights = np.arange(first + 1, len(hidden) + 1, dtype=np.float32)
    found: Vector = weights @ hidden[first:] / weights.sum()
    return found


POOLING: dict[str, Callable[[Vector, int], Vector]] = {
    "mean": lambda hidden, first: hidden[first:].mean(axis=0, dtype=np.float32),
    "cls": lambda hidden, first: hidden[first],
    "lasttoken": lambda hidden, _: hidden[-1],
    "max": lambda hidden, first: hidden[first:].max(axis=0),
    "weightedmean": _weighted_mean,
    "mean_sqrt_len_tokens": lambda hidden, first: (
        hidden[first:].sum(axis=0, dtype=np.float32) / np.float32(math.sqrt(len(hidden) - first))
    ),
}


def pool(hidden: Vector, pooling: str, first: int = 0) -> Vector:
    """``(tokens, width)`` -> ``(dim,)``; several poolings, joined by ``+``, are concatenated."""
    first = min(first, len(hidden) - 1)
    found = [POOLING[mode](hidden, first) for mode in pooling.split("+")]
    return found[0] if len(found) == 1 else np.concatenate(found)


_erf = np.vectorize(math.erf, otypes=[np.float32])

ACTIVATIONS: dict[str, Callable[[Vector], Any]] = {
    "torch.nn.modules.linear.Identity": lambda x: x,
    "torch.nn.modules.activation.Tanh": np.tanh,
    "torch.nn.modules.activation.ReLU": lambda x: np.maximum(x, 0),
    "torch.nn.modules.activation.Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "torch.nn.modules.activation.GELU": lambda x: x * (1 + _erf(x / math.sqrt(2))) / 2,
}
"""What sentence-transformers writes into a dense layer's config -> the function."""


class Head:
    """The dense layers behind the pooling, in fp32: one text at a time, ``(dim,) -> (dim,)``."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._layers = [_dense(folder / name) for name in manifest.head]

    def __call__(self, vector: Vector) -> Vector:
        """One pooled vector through all layers."""
        for weight, bias, activation in self._layers:
            vector = activation(weight @ vector + bias)
        return vector


def _dense(folder: Path) -> tuple[Vector, Vector, Callable[[Vector], Vector]]:
    """A dense layer as sentence-transformers saves it: ``config.json``, ``model.safetensors``."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        tensors = read_safetensors(folder / "model.safetensors")
        weight = tensors["linear.weight"]
        bias = tensors.get("linear.bias", np.zeros(len(weight), np.float32))
        return weight, bias, ACTIVATIONS[config["activation_function"]]
    except (OSError, KeyError, ValueError) as error:
        raise ArtifactError(
            f"The dense layer in {folder} cannot be read ({type(error).__name__}: {error}). "
            "Restore the folder or export the version again."
        ) from None


def read_safetensors(file: Path) -> dict[str, Vector]:
    """The tensors of a safetensors file as float32.

    The format is a length (8 bytes, little-endian), a JSON header of that length, and the bytes.
    """
    raw = file.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header: dict[str, Any] = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, item in header.items():
        begin, end = (start + offset for offset in item["data_offsets"])
        values = np.frombuffer(raw[begin:end], _DTYPES[item["dtype"]])
        found[name] = values.reshape(item["shape"]).astype(np.float32)
    return found
