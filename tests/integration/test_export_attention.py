"""Attention in one operator: taken where it computes the same, and only there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest

from reindex.export import export_checkpoint
from reindex.export.attention import fuse_attention, same_vectors
from tests.model_fixtures import (  # noqa: F401
    LOOSE,
    make_tiny_checkpoint,
    recipe,
    tiny_artifact,
)

pytestmark = pytest.mark.train

HEADS, VOCABULARY = 4, 30_000


def operators(file: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(str(file)).graph.node)


def test_an_exported_encoder_has_one_choice_per_layer(tiny_artifact: Path) -> None:  # noqa: F811
    found = operators(tiny_artifact / "onnx/model_qint8.onnx")
    assert found["If"] == 2
    assert not found.keys() & {"Softmax", "MatMul", "Transpose"}
    assert operators(tiny_artifact / "onnx/model.onnx")["Softmax"] == 2  # the reference, as it was
    assert sorted(item.name for item in (tiny_artifact / "onnx").iterdir()) == [
        "model.onnx", "model_qint8.onnx",
    ]  # fmt: skip


def test_fused_is_the_same_alone_and_padded(tiny_artifact: Path, tmp_path: Path) -> None:  # noqa: F811
    fp32 = tiny_artifact / "onnx/model.onnx"
    assert fuse_attention(fp32, tmp_path / "fused.onnx", HEADS) == 2
    assert same_vectors(fp32, tmp_path / "fused.onnx", VOCABULARY)


def test_a_wrong_guess_is_noticed(tiny_artifact: Path, tmp_path: Path) -> None:  # noqa: F811
    fp32 = tiny_artifact / "onnx/model.onnx"
    assert fuse_attention(fp32, tmp_path / "fused.onnx", HEADS // 2) == 2
    assert not same_vectors(fp32, tmp_path / "fused.onnx", VOCABULARY)
    fuse_attention(fp32, tmp_path / "broken.onnx", HEADS + 1)  # does not divide the dimension
    assert not same_vectors(fp32, tmp_path / "broken.onnx", VOCABULARY)


def test_a_decoder_keeps_its_own_attention(tmp_path: Path) -> None:
    checkpoint = make_tiny_checkpoint(tmp_path / "decoder", pooling="lasttoken", decoder=True)
    export_checkpoint(checkpoint, tmp_path / "artifact", settings=LOOSE, **recipe())
    found = operators(tmp_path / "artifact/onnx/model_qint8.onnx")
    assert found["Softmax"] == 2
    assert not found["If"]
