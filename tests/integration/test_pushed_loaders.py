"""A pushed folder, as it is, in other libraries; and what text-embeddings-inference looks for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reindex.encoder import load_encoder
from reindex.transport import Package, fetch, open_place, push_artifact
from reindex.transport.package import weights_in
from tests.model_fixtures import make_tiny_artifact, make_tiny_checkpoint

pytestmark = pytest.mark.train
TEXTS = ["What causes glaucoma?", "Vectors of one space may be compared. " * 5]


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT with random weights, exported, pushed with its weights, and fetched again."""
    folder = tmp_path_factory.mktemp("pushed")
    checkpoint = make_tiny_checkpoint(folder / "checkpoint")
    artifact = make_tiny_artifact(folder / "artifact", checkpoint)
    weights = weights_in(checkpoint)
    assert list(weights) == ["model.safetensors"]
    place = open_place(str(folder / "there"))
    push_artifact(place, Package(artifact, {"version": "v1"}, weights))
    return fetch(place, folder / "here").folder


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_sentence_transformers_with_torch_and_with_onnx(pushed: Path) -> None:
    from sentence_transformers import SentenceTransformer

    ours = {
        graph: load_encoder(pushed, graph=graph).encode_documents(TEXTS)
        for graph in ("int8", "fp32")
    }
    torch = SentenceTransformer(str(pushed), device="cpu", local_files_only=True)
    np.testing.assert_allclose(torch.encode(TEXTS, batch_size=1), ours["fp32"], atol=1e-5)
    onnx = SentenceTransformer(
        str(pushed), backend="onnx", device="cpu", local_files_only=True,
        model_kwargs={"file_name": "onnx/model_qint8.onnx", "provider": "CPUExecutionProvider"},
    )  # fmt: skip
    np.testing.assert_allclose(onnx.encode(TEXTS, batch_size=1), ours["int8"], atol=1e-5)


def test_fastembed(pushed: Path) -> None:
    fastembed = pytest.importorskip("fastembed")
    from fastembed.common.model_description import ModelSource, PoolingType

    fastembed.TextEmbedding.add_custom_model(
        model="reindex/pushed", pooling=PoolingType.MEAN, normalization=True,
        sources=ModelSource(hf="reindex/pushed"), dim=32, model_file="onnx/model_qint8.onnx",
    )  # fmt: skip
    model = fastembed.TextEmbedding("reindex/pushed", specific_model_path=str(pushed))
    found = np.array([next(iter(model.embed([text]))) for text in TEXTS])
    np.testing.assert_allclose(found, load_encoder(pushed).encode_documents(TEXTS), atol=1e-5)


def test_what_text_embeddings_inference_looks_for(pushed: Path) -> None:
    """What its router (1.x) reads of a local folder, and must parse; the program was not run."""
    for name in ("tokenizer.json", "modules.json", "onnx/model.onnx", "model.safetensors"):
        assert (pushed / name).is_file(), name
    config = json.loads((pushed / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["BertModel"]
    assert (config["model_type"], config["max_position_embeddings"]) == ("bert", 128)
    pooling = json.loads((pushed / "1_Pooling/config.json").read_text("utf-8"))
    flags = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    assert [pooling[f"pooling_mode_{flag}"] for flag in flags] == [False, True, False, False]
    lengths = json.loads((pushed / "sentence_bert_config.json").read_text("utf-8"))
    assert lengths["max_seq_length"] == 64
