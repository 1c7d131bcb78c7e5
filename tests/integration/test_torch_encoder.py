"""Documents embedded by torch in batches. On the CPU: the same code as on CUDA, in fp32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reindex import torch_encoder
from reindex.encoder import OnnxEncoder
from reindex.errors import ArtifactError, ConfigError, MissingExtra, ProbeMismatch
from reindex.torch_encoder import TorchEncoder, cuda_devices
from tests.model_fixtures import (  # noqa: F401
    LOOSE,
    copy_artifact,
    edit_manifest,
    make_tiny_artifact,
    make_tiny_checkpoint,
    recipe,
    tiny_artifact,
)

pytestmark = pytest.mark.train

TEXTS = [" ".join(["word", "stone", "river"][: 1 + i % 3] * (1 + i * 7 % 23)) for i in range(60)]


@pytest.fixture(scope="module")
def checkpoint(tiny_artifact: Path) -> Path:  # noqa: F811
    return tiny_artifact.with_name("checkpoint")


@pytest.fixture
def encoder(tiny_artifact: Path, checkpoint: Path) -> TorchEncoder:  # noqa: F811
    return TorchEncoder(tiny_artifact, checkpoint, devices=("cpu", "cpu"), token_budget=200)


def test_vectors_are_the_fp32_graphs_in_the_order_given(
    encoder: TorchEncoder,
    tiny_artifact: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch_encoder, "SLICE", 7)
    expected = OnnxEncoder(tiny_artifact, graph="fp32").encode_documents(TEXTS)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS[:1]), expected[:1], atol=1e-5)
    assert encoder.encode_documents([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("pooling", "decoder"), [("cls", False), ("lasttoken", False), ("lasttoken", True)]
)
def test_other_poolings(tmp_path: Path, pooling: str, decoder: bool) -> None:
    checkpoint = make_tiny_checkpoint(tmp_path / "c", pooling=pooling, decoder=decoder)
    artifact = make_tiny_artifact(tmp_path / "a", checkpoint, document_prompt="passage: ")
    found = TorchEncoder(artifact, checkpoint, devices=("cpu",)).encode_documents(TEXTS)
    expected = OnnxEncoder(artifact, graph="fp32").encode_documents(TEXTS)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_its_encoding_is_certified_with_the_int8_graphs(
    encoder: TorchEncoder,
    tiny_artifact: Path,  # noqa: F811
) -> None:
    int8 = OnnxEncoder(tiny_artifact)
    assert encoder.space == int8.space
    assert encoder.encoding != int8.encoding
    assert encoder.encoding in int8.manifest.certified_with(int8.encoding)


def test_a_batch_that_does_not_fit_is_halved(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    expected = encoder.encode_documents(TEXTS)
    real, sizes = torch_encoder._Device._run, []

    def short(device: object, tokens: list[list[int]], skipped: int) -> np.ndarray:
        if len(tokens) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(tokens))
        return real(device, tokens, skipped)  # type: ignore[arg-type]

    monkeypatch.setattr(torch_encoder._Device, "_run", short)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), expected, atol=1e-5)
    assert max(sizes) <= 2


def test_an_error_in_one_batch_ends_the_call(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> np.ndarray:
        raise RuntimeError("device-side assert")

    monkeypatch.setattr(torch_encoder._Device, "_run", broken)
    with pytest.raises(RuntimeError, match="device-side assert"):
        encoder.encode_documents(TEXTS)


def test_vectors_that_are_not_finite_are_refused(
    encoder: TorchEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torch_encoder._Device,
        "_run",
        lambda _, tokens, __: np.full((len(tokens), 32), np.nan, np.float32),
    )
    with pytest.raises(ArtifactError, match=r"overflows in float32.*embed\.device"):
        encoder.encode_documents(TEXTS)


def test_another_checkpoint_is_refused(tiny_artifact: Path, tmp_path: Path) -> None:  # noqa: F811
    other = make_tiny_checkpoint(tmp_path / "other", pooling="cls", decoder=True)
    with pytest.raises(ArtifactError, match=r"is not what .* was exported from"):
        TorchEncoder(tiny_artifact, other, devices=("cpu",))


def test_probes_are_compared(
    tiny_artifact: Path,  # noqa: F811
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        torch_encoder._Device,
        "_run",
        lambda _, tokens, __: np.eye(32, dtype=np.float32)[: len(tokens)],
    )
    with pytest.raises(ProbeMismatch, match="computes other vectors"):
        TorchEncoder(tiny_artifact, checkpoint, devices=("cpu",))


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match="finds no CUDA device here"):
        cuda_devices("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert cuda_devices("cuda") == ("cuda:0", "cuda:1")
    assert cuda_devices("cuda:1") == ("cuda:1",)
    with pytest.raises(ConfigError, match="finds cuda:0, cuda:1 here"):
        cuda_devices("cuda:0,cuda:2")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtra):
        cuda_devices("cuda")
