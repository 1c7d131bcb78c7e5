"""A folder with an ONNX graph and a tokenizer, as the Hub and fastembed keep them: no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reindex.artifact import POOLINGS, TOKENIZER_NAME, hash_files, tokenizer_hash
from reindex.encoder.pooling import pool
from reindex.encoder.runtime import (
    INPUTS,
    OUTPUT,
    TextTokenizer,
    available_cores,
    open_session,
    unit,
)
from reindex.errors import ArtifactError, ModelError
from reindex.off_the_shelf.model import LONGEST_DEFAULT, OffTheShelf
from reindex.prompts import read_prompts
from reindex.records import Vector

GRAPHS = (
    "onnx/model.onnx", "model.onnx", "model_optimized.onnx", "onnx/model_quantized.onnx",
    "model_quantized.onnx", "onnx/model_qint8.onnx",
)  # fmt: skip
"""Where graphs lie, full precision first."""
_NO_LIMIT = 1_000_000
"""A ``model_max_length`` from here on says that there is none."""
_OLD_NAMES: Mapping[str, str] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "lasttoken",
}


def find_graph(folder: Path) -> Path | None:
    """The folder's ONNX graph, if it has one."""
    return next((folder / name for name in GRAPHS if (folder / name).is_file()), None)


def load_onnx_folder(
    name: str,
    folder: Path,
    prompts: tuple[str, str] | None,
    max_length: int | None,
    threads: int | None,
) -> OffTheShelf:
    """Load graph, tokenizer and pooling.

    Raises:
        ModelError: one of them is missing, or cannot be used.
    """
    graph, tokenizer = find_graph(folder), folder / TOKENIZER_NAME
    if graph is None or not tokenizer.is_file():
        raise ModelError(
            f"{folder} is no model: expected {TOKENIZER_NAME} and one of {', '.join(GRAPHS)}."
        )
    pooling, length = _pooling(folder), max_length or _own_length(folder)
    used = prompts or read_prompts(folder)
    try:
        encoder = OnnxFolder(graph, tokenizer, pooling, used, length, threads)
    except ArtifactError as error:
        raise ModelError(f"{name} cannot be used as it is. {error}") from error
    return OffTheShelf(name, encoder, used, length)


class OnnxFolder:
    """An `Encoder` over such a folder: a text per run, without padding."""

    def __init__(
        self,
        graph: Path,
        tokenizer: Path,
        pooling: str,
        prompts: tuple[str, str],
        max_length: int,
        threads: int | None,
    ) -> None:
        self._session = open_session(graph, threads or available_cores())
        self._inputs = [item.name for item in self._session.get_inputs()]
        self._tokenise = TextTokenizer(tokenizer, max_length)
        self._pooling, self._prompts = pooling, prompts
        outside = sorted(graph.parent.glob(f"{graph.name}[_.]*data"))
        facts = (tokenizer_hash(tokenizer), pooling, prompts, max_length)
        self.encoding = hash_files([graph, *outside])
        self.space = hashlib.sha256(repr((self.encoding, *facts)).encode()).hexdigest()
        self.dim = int(self.encode_documents(["dimension"]).shape[1])

    def encode_documents(self, texts: Sequence[str]) -> Vector:
        """``(n, dim)`` float32, unit length, in the order given."""
        return self._encode(texts, self._prompts[1])

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        """As documents, with the query prompt."""
        return self._encode(texts, self._prompts[0])

    def _encode(self, texts: Sequence[str], prompt: str) -> Vector:
        tokens = self._tokenise([prompt + text for text in texts])
        return np.stack([self._embed(ids) for ids in tokens])

    def _embed(self, ids: list[int]) -> Vector:
        feed = {name: INPUTS[name](ids) for name in self._inputs}
        return unit(pool(self._session.run([OUTPUT], feed)[0][0], self._pooling))


def _pooling(folder: Path) -> str:
    file = folder / "1_Pooling" / "config.json"
    found = _read(file)
    mode = found.get("pooling_mode") or next(
        (new for old, new in _OLD_NAMES.items() if found.get(old)), None
    )
    for known in POOLINGS[:3]:
        if mode == known:
            return known
    raise ModelError(
        f"{folder} does not say how token vectors become one: expected {file} with "
        f'"pooling_mode": one of {", ".join(POOLINGS[:3])}; found {mode!r}. Its model card '
        "says which."
    )


def _own_length(folder: Path) -> int:
    asked = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    limit = _read(folder / "tokenizer_config.json").get("model_max_length")
    lengths = [int(item) for item in (asked, limit) if item and item < _NO_LIMIT]
    return min([*lengths, LONGEST_DEFAULT])


def _read(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file.

    Raises:
        ModelError: it is no JSON object.
    """
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{file} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file}: expected a JSON object, found {type(found).__name__}.")
    return found
