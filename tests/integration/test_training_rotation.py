"""Vectors that are turned after a training, for the sake of their prefixes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.encoder import OnnxEncoder
from reindex.errors import ConfigError, DataError
from reindex.records import Vector
from tests import architectures
from tests.model_fixtures import make_tiny_artifact
from tests.training_fixtures import dev_set, pairs, settings, tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")

import torch
from sentence_transformers import SentenceTransformer

from reindex.training.finetune import TrainResult, fine_tune

pytestmark = pytest.mark.train

DIMS = (32, 16, 8)
TEXTS = [text for row in pairs() for text in (row.anchor, row.positive)]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(base: str, folder: Path, **more: Any) -> TrainResult:
    asked = settings(**{"matryoshka_dims": DIMS, **more})
    return fine_tune(asked, pairs(), dev_set(), folder, base=base)


@pytest.fixture(scope="module")
def trained(tiny_base: str, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, TrainResult]:  # noqa: F811
    """The same training, turned and not."""
    folder = tmp_path_factory.mktemp("rotation")
    return {
        turned: train(tiny_base, folder / str(turned), rotate=turned) for turned in (True, False)
    }


def vectors(checkpoint: Path) -> Vector:
    model = SentenceTransformer(str(checkpoint), device="cpu")
    found: Vector = model.encode(TEXTS, normalize_embeddings=True)
    return found


def test_whole_vectors_tell_what_they_told(trained: dict[bool, TrainResult]) -> None:
    turned, plain = (vectors(trained[which].checkpoint) for which in (True, False))
    np.testing.assert_allclose(turned @ turned.T, plain @ plain.T, atol=1e-5)
    assert np.abs(turned - plain).max() > 0.01
    assert trained[True].metrics_after == trained[False].metrics_after
    assert trained[False].rotation == {}


def agreement(found: Vector, dim: int) -> float:
    """Share of every text's nearest 10 that the prefix finds."""
    short = found[:, :dim] / np.linalg.norm(found[:, :dim], axis=1, keepdims=True)
    nearest = [np.argsort(-(side @ side.T), axis=1)[:, :10] for side in (found, short)]
    return float(
        np.mean([len(set(one) & set(other)) / 10 for one, other in zip(*nearest, strict=True)])
    )


def test_prefixes_tell_more(trained: dict[bool, TrainResult]) -> None:
    told = trained[True].rotation
    assert told["kept"]
    assert [item["dim"] for item in told["prefixes"]] == [16, 8]
    turned, plain = (vectors(trained[which].checkpoint) for which in (True, False))
    for dim in DIMS[1:]:
        assert agreement(turned, dim) > agreement(plain, dim) + 0.05


def test_the_artifact_turns_too(trained: dict[bool, TrainResult], tmp_path: Path) -> None:
    checkpoint = trained[True].checkpoint
    folder = make_tiny_artifact(tmp_path / "artifact", checkpoint)
    with OnnxEncoder(folder, graph="fp32") as encoder:
        found = encoder.encode_documents(TEXTS)
    np.testing.assert_allclose(found, vectors(checkpoint), atol=1e-4)


def test_turned_again_the_layer_is_the_same_one(
    trained: dict[bool, TrainResult], tmp_path: Path
) -> None:
    again = train(str(trained[True].checkpoint), tmp_path, rotate=True)
    parts = [type(part).__name__ for part in SentenceTransformer(str(again.checkpoint))]
    assert parts.count("Dense") == 1


def test_a_base_that_nothing_beats_is_turned(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    result = train(tiny_base, tmp_path, rotate=True, learning_rate=1e-12)
    assert result.best_is_base
    assert result.rotation["kept"]
    base = vectors(Path(tiny_base))
    found = vectors(result.checkpoint)
    np.testing.assert_allclose(found @ found.T, base @ base.T, atol=1e-5)


def test_what_cannot_be_turned_is_refused_before_the_training(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"matryoshka_dims = \[32\]. Add shorter ones"):
        train(tiny_base, tmp_path, rotate=True, matryoshka_dims=(32,))
    clip = str(architectures.clip(tmp_path / "clip"))
    with pytest.raises(ConfigError, match=r"parts are Transformer\. Leave"):
        train(clip, tmp_path / "run", rotate=True, matryoshka_dims=(24, 8))
    with pytest.raises(DataError, match="at least 32 rows"):
        fine_tune(
            settings(rotate=True, matryoshka_dims=DIMS), pairs()[:20], dev_set(), tmp_path / "few",
            base=tiny_base,
        )  # fmt: skip
