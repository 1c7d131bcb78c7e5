"""Lighter training steps: beginnings of texts, no dropout, weights of dimensions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from reindex.config.training_losses import LoraSettings
from reindex.errors import ConfigError
from reindex.records import TrainingExample
from tests.training_fixtures import dev_set, pairs, settings, tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")

import torch

from reindex.training.adapters import attach
from reindex.training.base import load_base
from reindex.training.finetune import TrainResult, fine_tune
from reindex.training.libraries import quiet
from reindex.training.lighter import set_dropout

pytestmark = pytest.mark.train

TEXTS = ["apple river and a much longer tail of words", "cloud horse", "metal doctor bridge"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small gains nothing from threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(base: str, folder: Path, examples: list[TrainingExample], **changes: Any) -> TrainResult:
    given = {"epochs": 1, "evaluations": 1, **changes}
    return fine_tune(settings(**given), examples, dev_set(), folder, base=base)


def vectors(result: TrainResult) -> Any:
    with quiet():
        return load_base(str(result.checkpoint), max_length=None).encode(TEXTS)


def longer(tail: str) -> list[TrainingExample]:
    """The pairs, each text with something behind it."""
    return [TrainingExample(f"{one.anchor} {tail}", f"{one.positive} {tail}") for one in pairs()]


def test_steps_read_the_beginnings_and_everything_else_reads_all(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Four tokens are two words between the markers, so what follows them cannot matter."""
    cut = {"training_length": 4, "max_length": 32, "dropout": 0.0}
    short = run(tiny_base, tmp_path / "short", pairs(), **cut)
    tailed = run(tiny_base, tmp_path / "tail", longer("basket camera"), **cut)
    whole = run(
        tiny_base, tmp_path / "whole", longer("basket camera"), **cut | {"training_length": 8}
    )
    np.testing.assert_allclose(vectors(tailed), vectors(short), atol=1e-5)
    assert not np.allclose(vectors(whole), vectors(short), atol=1e-3)
    assert short.metrics_before == tailed.metrics_before  # the dev set was read to its end
    with quiet():
        assert load_base(str(short.checkpoint), max_length=None).max_seq_length == 32


def test_steps_cannot_read_more_than_serving(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(ConfigError, match="training_length = 64 is more than the 32 tokens"):
        run(tiny_base, tmp_path, pairs(), training_length=64, max_length=32)


def test_dropout_is_set_for_the_steps_and_not_for_what_is_saved(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    model = load_base(tiny_base, max_length=None).train()
    features = model.tokenize(TEXTS)

    def twice() -> list[Any]:
        return [model(dict(features))["sentence_embedding"].detach().numpy() for _ in range(2)]

    first, second = twice()
    assert not np.allclose(first, second, atol=1e-4)
    set_dropout(model, 0.0)
    first, second = twice()
    np.testing.assert_array_equal(first, second)
    done = run(tiny_base, tmp_path, pairs(), dropout=0.0)
    config = json.loads((done.checkpoint / "config.json").read_text("utf-8"))
    assert config["hidden_dropout_prob"] == 0.1


def test_adapters_keep_a_dropout_of_their_own(tiny_base: str) -> None:  # noqa: F811
    model = load_base(tiny_base, max_length=None)
    attach(model, LoraSettings(rank=4, dropout=0.1))
    set_dropout(model, 0.0)
    rates = {
        (".lora_" in place, module.p)
        for place, module in model.named_modules()
        if isinstance(module, torch.nn.Dropout)
    }
    assert rates == {(False, 0.0), (True, 0.1)}


def test_weights_of_dimensions_move_what_is_learned(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    dims = {"matryoshka_dims": (32, 8), "dropout": 0.0}
    even = run(tiny_base, tmp_path / "even", pairs(), **dims)
    ones = run(tiny_base, tmp_path / "ones", pairs(), **dims, matryoshka_weights=(1.0, 1.0))
    heavy = run(tiny_base, tmp_path / "heavy", pairs(), **dims, matryoshka_weights=(0.01, 5.0))
    np.testing.assert_array_equal(vectors(even), vectors(ones))
    assert not np.allclose(vectors(even), vectors(heavy), atol=1e-3)


def test_a_weight_is_needed_for_every_dimension() -> None:
    with pytest.raises(ValidationError, match="expected one for each of matryoshka_dims"):
        settings(matryoshka_dims=(32, 8), matryoshka_weights=(1.0,))
