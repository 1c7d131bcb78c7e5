"""Lineage: all that decides a training's result, written down with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reindex.artifact import default_matryoshka_dims
from reindex.errors import ModelError
from reindex.records import text_hash
from reindex.training.architecture import pooling_of
from reindex.training.libraries import load, versions
from reindex.training.objectives import Task, query_hashes
from reindex.training.trainer import has_bf16

if TYPE_CHECKING:
    from reindex.config import TrainSettings
    from reindex.training.measures import HeldOut

_ELSEWHERE = {
    "base", "pairs", "data", "clicks", "max_pairs", "dev_documents", "dev_queries", "negatives",
}  # fmt: skip
"""Settings that the data's, the dev set's and the base's hashes stand for."""

_MAY_DIFFER = {
    "base", "query_hashes", "device", "dtype", "threads", "versions", "hyperparameters",
    "pooling", "padding_side",
}  # fmt: skip
"""What may change while a training is interrupted: place, machine and releases; and what follows
from the base and the settings."""


def _dims(settings: TrainSettings, dim: int) -> list[int]:
    dims = sorted({*(settings.matryoshka_dims or default_matryoshka_dims(dim))}, reverse=True)
    if dims[0] > dim:
        raise ModelError(
            f"train.matryoshka_dims asks for {dims[0]} dimensions, but the base model has {dim}."
        )
    return dims if dims[0] == dim else [dim, *dims]


def trace(
    settings: TrainSettings,
    tasks: Sequence[Task],
    held: HeldOut,
    base: str,
    model: Any,
) -> dict[str, Any]:
    """All that decides the result, and the hashes that leakage checks need."""
    dim = int(_dimension(model))
    return {
        "base": base,
        "base_sha256": weights_hash(model),
        "data_sha256": _data_hash(tasks),
        "dev_sha256": None if held.dev is None else held.dev.digest,
        "general": {name: data.digest for name, data in held.general.items()},
        "examples": sum(task.rows for task in tasks),
        "objectives": [_objective(task) for task in tasks],
        "query_hashes": query_hashes(tasks),
        "seed": settings.seed,
        "hyperparameters": settings.model_dump(mode="json", exclude=_ELSEWHERE),
        "dim": dim,
        "matryoshka_dims": _dims(settings, dim),
        "max_length": int(model.max_seq_length),
        "pooling": pooling_of(model),
        "padding_side": model.tokenizer.padding_side,
        "prompts": [settings.query_prompt or "", settings.document_prompt or ""],
        "device": model.device.type,
        "dtype": "bfloat16" if has_bf16(model.device.type) else "float32",
        "threads": load("torch").get_num_threads(),
        "versions": versions(),
    }


def _objective(task: Task) -> dict[str, Any]:
    """What is lowered on what, and why; the file's name does not decide the result."""
    return {
        "kind": task.data.kind,
        "loss": task.choice.loss.name,
        "reason": task.choice.reason,
        "weight": task.weight,
        "rows": task.rows,
        "sha256": task.data.digest,
        "dev_sha256": None if task.dev is None else task.dev.digest,
        **({"phases": task.phases} if task.phases > 1 else {}),
        **({"teacher_sha256": task.teacher} if task.teacher else {}),
    }


def _data_hash(tasks: Sequence[Task]) -> str:
    """The only set's own, else that of all sets' in their order."""
    digests = [task.data.digest for task in tasks]
    return digests[0] if len(digests) == 1 else text_hash("\n".join(digests))


def fixed_part(lineage: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same for a training to go on: all but place, machine and versions."""
    fixed = {key: value for key, value in lineage.items() if key not in _MAY_DIFFER}
    how = {key: value for key, value in lineage["hyperparameters"].items() if key != "compile"}
    return {**how, **fixed}


def _dimension(model: Any) -> int:
    newer = getattr(model, "get_embedding_dimension", None)
    return int((newer or model.get_sentence_embedding_dimension)())


def weights_hash(model: Any) -> str:
    """sha256 over a model's tensors, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
