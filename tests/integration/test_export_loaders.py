"""The exported folder, as it is, in other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reindex.artifact import GRAPH_FILES
from reindex.encoder import OnnxEncoder
from tests.model_fixtures import minilm_artifact  # noqa: F401

pytestmark = pytest.mark.train

TOLERANCE = 2e-6
"""Of any component: only the pooling's arithmetic is others'."""
FP32_COSINE = 0.98
"""A loader that picks fp32 gets vectors of the same space, this near to the int8 ones."""

TEXTS = (
    "What causes glaucoma?",
    "Vectors of one space may be compared; vectors of two may not. " * 12,
    "Überlange Texte werden abgeschnitten. " * 80,
)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def ours(minilm_artifact: Path) -> dict[str, np.ndarray]:  # noqa: F811
    return {
        graph: OnnxEncoder(minilm_artifact, graph=graph).encode_documents(TEXTS)
        for graph in GRAPH_FILES
    }


@pytest.mark.parametrize("graph", ["int8", "fp32"])
def test_sentence_transformers_gives_the_same_vectors_one_by_one(
    minilm_artifact: Path,  # noqa: F811
    ours: dict[str, np.ndarray],
    graph: str,
) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(
        str(minilm_artifact),
        backend="onnx",
        device="cpu",
        local_files_only=True,
        model_kwargs={"file_name": GRAPH_FILES[graph], "provider": "CPUExecutionProvider"},
    )
    found = model.encode(list(TEXTS), batch_size=1)
    assert np.abs(found - ours[graph]).max() < TOLERANCE
    assert model.max_seq_length == 256
    assert model.prompts == {"query": "", "document": ""}


@pytest.mark.parametrize("graph", ["int8", "fp32"])
def test_fastembed_gives_the_same_vectors_one_by_one(
    minilm_artifact: Path,  # noqa: F811
    ours: dict[str, np.ndarray],
    graph: str,
) -> None:
    fastembed = pytest.importorskip("fastembed")
    from fastembed.common.model_description import ModelSource, PoolingType

    name = f"reindex/{minilm_artifact.parent.name}-{graph}"
    fastembed.TextEmbedding.add_custom_model(
        model=name,
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf=name),
        dim=384,
        model_file=GRAPH_FILES[graph],
    )
    model = fastembed.TextEmbedding(name, specific_model_path=str(minilm_artifact))
    found = np.array([next(iter(model.embed([text]))) for text in TEXTS])
    assert np.abs(found - ours[graph]).max() < TOLERANCE


def test_the_folder_survives_a_transport_without_empty_folders(
    minilm_artifact: Path,  # noqa: F811
    ours: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    from sentence_transformers import SentenceTransformer

    for file in minilm_artifact.rglob("*"):
        if file.is_file():
            target = tmp_path / file.relative_to(minilm_artifact)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    kwargs = {"file_name": GRAPH_FILES["int8"], "provider": "CPUExecutionProvider"}
    model = SentenceTransformer(
        str(tmp_path), backend="onnx", device="cpu", local_files_only=True, model_kwargs=kwargs
    )
    found = model.encode(list(TEXTS), batch_size=1)
    assert np.abs(found - ours["int8"]).max() < TOLERANCE


def test_a_loader_that_picks_fp32_stays_within_the_stated_tolerance(
    ours: dict[str, np.ndarray],
) -> None:
    assert (ours["int8"] * ours["fp32"]).sum(axis=1).min() > FP32_COSINE
