"""A model's name as somebody wrote it -> the model, by whatever can run it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from reindex.artifact import MANIFEST_NAME
from reindex.encoder import OnnxEncoder
from reindex.errors import ModelError
from reindex.off_the_shelf.model import OffTheShelf
from reindex.off_the_shelf.onnx_folder import find_graph, load_onnx_folder
from reindex.off_the_shelf.torch_model import load_torch_model

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*/*.safetensors")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to judge: a Hub id, a folder or ``package:NAME``; or a version that is not built.

    ``prompts`` are put before queries and before documents; None: those that the model declares.
    """

    name: str
    prompts: tuple[str, str] | None = None


def load_model(
    spec: ModelSpec, place: str, *, max_length: int | None, threads: int | None
) -> OffTheShelf:
    """Load the model that is at ``place``, a folder or what `resolve_base` takes.

    An artifact's folder runs as versions do; one that holds an ONNX graph alone, or whatever there
    is where torch is not installed, runs on onnxruntime; everything else by sentence-transformers.

    Raises:
        ModelError: it cannot be found, fetched or loaded, or lacks what decides its vectors.
        ArtifactError, ProbeMismatch: it is an artifact, and not as it was exported.
        MissingExtra: it needs the [train] extra, which is not installed.
    """
    folder = Path(place)
    if (folder / MANIFEST_NAME).is_file():
        return _artifact(spec, folder, max_length, threads)
    if folder.is_dir() and find_graph(folder) is not None and not _runs_by_torch(folder):
        return load_onnx_folder(spec.name, folder, spec.prompts, max_length, threads)
    return load_torch_model(spec.name, place, spec.prompts, max_length)


def _runs_by_torch(folder: Path) -> bool:
    weights = any(next(folder.glob(pattern), None) is not None for pattern in _WEIGHTS)
    return weights and importlib.util.find_spec("sentence_transformers") is not None


def _artifact(
    spec: ModelSpec, folder: Path, max_length: int | None, threads: int | None
) -> OffTheShelf:
    encoder = OnnxEncoder(folder, threads=threads)
    manifest = encoder.manifest
    prompts = (manifest.query_prompt, manifest.document_prompt)
    if spec.prompts not in (None, prompts):
        raise ModelError(
            f"{spec.name} is an artifact, which has its own prompts {prompts}: leave out "
            f"{spec.prompts}."
        )
    del max_length  # an artifact's is fixed, too
    return OffTheShelf(spec.name, encoder, prompts, manifest.max_length)
