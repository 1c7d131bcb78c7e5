from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.artifact import FOLDER_LAYOUT, load_manifest, verify_files
from reindex.config import ExportSettings
from reindex.encoder import OnnxEncoder
from reindex.errors import ArtifactError, MissingExtra, ModelError, ParityError
from reindex.export import export_checkpoint
from reindex.export.checks import DimensionRecall, choose_prefix_dim
from reindex.records import Document, Judgements, Query
from tests.model_fixtures import (  # noqa: F401
    LOOSE,
    base_model_path,
    copy_artifact,
    make_tiny_checkpoint,
    minilm_artifact,
    recipe,
    tiny_artifact,
)

pytestmark = pytest.mark.train

TEXTS = (
    "a",
    "How can one replace an embedding model without downtime?",
    "Les vecteurs de deux modèles ne se comparent pas.",
    "embedding " * 120,
    "A longer passage, with several sentences. It ends here. " * 40,
)


def torch_vectors(checkpoint: Path, texts: Sequence[str], max_length: int) -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(checkpoint), device="cpu")
    model.max_seq_length = max_length
    found: np.ndarray = model.encode(list(texts), batch_size=1, normalize_embeddings=True)
    return found


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


# -- against the oracle


def test_minilm_agrees_with_torch(minilm_artifact: Path) -> None:  # noqa: F811
    expected = torch_vectors(base_model_path(), TEXTS, 256)
    fp32 = OnnxEncoder(minilm_artifact, graph="fp32").encode_documents(TEXTS)
    int8 = OnnxEncoder(minilm_artifact).encode_documents(TEXTS)
    np.testing.assert_allclose(fp32, expected, atol=2e-6)
    assert (int8 * expected).sum(axis=1).mean() > 0.98


def test_minilms_manifest(minilm_artifact: Path) -> None:  # noqa: F811
    manifest = load_manifest(minilm_artifact)
    assert (manifest.dim, manifest.max_length, manifest.pooling) == (384, 256, "mean")
    assert manifest.matryoshka_dims == (384, 256, 128, 64)
    assert manifest.parity["invariance"] == 0
    assert manifest.parity["fp32_cosine_min"] > 0.9999
    assert manifest.parity["padded_batch_cosine_min"] < 0.999  # why texts are embedded alone
    assert (minilm_artifact / "onnx/model_qint8.onnx").stat().st_size < 25e6
    verify_files(minilm_artifact, manifest)
    files = {p.relative_to(minilm_artifact).as_posix() for p in minilm_artifact.rglob("*.*")}
    assert {name for name in files if (minilm_artifact / name).is_file()} - {"vocab.txt"} == set(
        FOLDER_LAYOUT
    )


@pytest.mark.parametrize(
    ("pooling", "decoder"), [("cls", False), ("lasttoken", False), ("lasttoken", True)]
)
def test_other_poolings_agree_with_torch(tmp_path: Path, pooling: str, decoder: bool) -> None:
    checkpoint = make_tiny_checkpoint(tmp_path / "checkpoint", pooling=pooling, decoder=decoder)
    export_checkpoint(checkpoint, tmp_path / "artifact", settings=LOOSE, **recipe())
    assert load_manifest(tmp_path / "artifact").pooling == pooling
    expected = torch_vectors(checkpoint, TEXTS, 64)
    fp32 = OnnxEncoder(tmp_path / "artifact", graph="fp32").encode_documents(TEXTS)
    int8 = OnnxEncoder(tmp_path / "artifact").encode_documents(TEXTS)
    np.testing.assert_allclose(fp32, expected, atol=1e-5)
    assert (int8 * expected).sum(axis=1).min() > 0.97


def test_a_plain_transformers_folder_is_pooled_by_the_mean(tmp_path: Path) -> None:
    make_tiny_checkpoint(tmp_path / "checkpoint")
    plain = tmp_path / "checkpoint-plain"
    export_checkpoint(plain, tmp_path / "artifact", settings=LOOSE, **recipe(max_length=64))
    fp32 = OnnxEncoder(tmp_path / "artifact", graph="fp32").encode_documents(TEXTS)
    np.testing.assert_allclose(fp32, torch_vectors(plain, TEXTS, 64), atol=1e-5)


def test_the_maximum_length_is_the_recipes(checkpoint: Path, tmp_path: Path) -> None:
    export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe(max_length=16))
    found = OnnxEncoder(tmp_path / "a", graph="fp32").encode_documents(TEXTS)
    np.testing.assert_allclose(found, torch_vectors(checkpoint, TEXTS, 16), atol=1e-5)


# -- judgements


def judged(n: int) -> tuple[Judgements, list[Document]]:
    """``n`` queries that are the first words of their documents, among distractors."""
    rng = np.random.default_rng(5)
    vocabulary = ["red", "blue", "stone", "river", "cloud", "engine", "paper", "glass", "metal"]
    texts = [" ".join(rng.choice(vocabulary, 12)) + f" {i}" for i in range(4 * n)]
    documents = [Document(f"d{i}", text, {}) for i, text in enumerate(texts)]
    queries = tuple(Query(f"q{i}", " ".join(texts[i].split()[:8])) for i in range(n))
    return Judgements(queries, {f"q{i}": {f"d{i}": 1, f"d{n}": 0} for i in range(n)}), documents


def test_judged_queries_bring_rankings_and_choose_the_first_stage(
    checkpoint: Path, tmp_path: Path
) -> None:
    dev, documents = judged(20)
    report = export_checkpoint(
        checkpoint, tmp_path / "a", settings=LOOSE, dev=dev, documents=documents, **recipe()
    )
    assert report.parity["queries"] == 20
    assert 0.5 < report.parity["ranking_overlap"] <= 1
    assert set(report.recall_by_dim) == {32, 24, 8}
    full = report.recall_by_dim[32]
    kept = [d for d in (24, 8) if report.recall_by_dim[d].rescored >= 0.99 * full.alone]
    assert report.prefix_dim == load_manifest(tmp_path / "a").prefix_dim == min(kept, default=24)
    assert full.rescored == full.alone
    assert report.as_dict()["recall_by_dim"]["32"] == full.alone


def test_the_first_stage_is_the_smallest_dimension_that_rescoring_saves() -> None:
    recalls = {
        384: DimensionRecall(0.95, 0.95),
        256: DimensionRecall(0.94, 0.95),
        128: DimensionRecall(0.80, 0.945),
        64: DimensionRecall(0.70, 0.90),
    }
    assert choose_prefix_dim(recalls, 0.99) == 128
    assert choose_prefix_dim(recalls, 0.9999) == 256
    hopeless = {384: DimensionRecall(0.95, 0.95), 64: DimensionRecall(0.1, 0.2)}
    assert choose_prefix_dim(hopeless, 0.99) == 64  # never the full one: that is no first stage
    assert choose_prefix_dim({8: DimensionRecall(1, 1)}, 0.99) == 8


def test_judgements_of_documents_that_are_not_there_are_no_judgements(
    checkpoint: Path, tmp_path: Path
) -> None:
    dev, _ = judged(3)
    report = export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, dev=dev, **recipe())
    assert report.recall_by_dim == {}
    assert report.prefix_dim == 8


# -- nothing half done


def test_progress_reaches_its_total(checkpoint: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    export_checkpoint(
        checkpoint, tmp_path / "a", settings=LOOSE, progress=lambda *step: seen.append(step),
        **recipe(),
    )  # fmt: skip
    assert seen[0] == ("export", 0, 4)
    assert seen[-1] == ("export", 4, 4)


@pytest.mark.parametrize(
    ("settings", "figure"),
    [
        (ExportSettings(min_int8_cosine=1.0, min_fp32_cosine=0), "int8_cosine_mean"),
        (ExportSettings(min_ranking_overlap=1.0, min_fp32_cosine=0), "ranking_overlap"),
    ],
)
def test_out_of_tolerance_publishes_nothing(
    checkpoint: Path, tmp_path: Path, settings: ExportSettings, figure: str
) -> None:
    dev, documents = judged(20)
    with pytest.raises(ParityError, match=f"{figure} is .*Nothing was published"):
        export_checkpoint(
            checkpoint, tmp_path / "a", settings=settings, dev=dev, documents=documents, **recipe()
        )
    assert list(tmp_path.iterdir()) == []


def test_the_same_export_again_changes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    first = export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe())
    before = (tmp_path / "a/manifest.json").read_bytes()
    again = export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe())
    assert again.manifest.graphs == first.manifest.graphs
    assert (tmp_path / "a/manifest.json").read_bytes() == before


def test_another_artifact_in_the_way_is_kept(checkpoint: Path, tmp_path: Path) -> None:
    export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe())
    before = (tmp_path / "a/manifest.json").read_bytes()
    with pytest.raises(ArtifactError, match="holds another artifact"):
        export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe(max_length=32))
    assert (tmp_path / "a/manifest.json").read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a"]


def test_other_files_in_the_way_are_kept(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="not a complete artifact"):
        export_checkpoint(checkpoint, tmp_path, settings=LOOSE, **recipe())
    assert (tmp_path / "notes.txt").read_text() == "mine"


# -- what cannot be exported


def test_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Expected a checkpoint"):
        export_checkpoint(tmp_path / "none", tmp_path / "a", settings=LOOSE, **recipe())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"matryoshka_dims": (64, 16)}, r"from 1 to 32.*found \[64, 16\]"),
        ({"max_length": 4096}, "has 128 positions"),
    ],
)
def test_a_recipe_that_does_not_fit_the_model(
    checkpoint: Path, tmp_path: Path, changes: dict[str, Any], match: str
) -> None:
    with pytest.raises(ArtifactError, match=match):
        export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe(**changes))
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_the_encoder_lacks_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer, models

    model = SentenceTransformer(str(checkpoint), device="cpu")
    model.append(models.Dense(32, 16))
    model.save_pretrained(str(tmp_path / "dense"), create_model_card=False)
    with pytest.raises(ArtifactError, match=r"found Transformer, Pooling, Normalize, Dense"):
        export_checkpoint(tmp_path / "dense", tmp_path / "a", settings=LOOSE, **recipe())


def test_broken_weights_are_a_model_error(checkpoint: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(checkpoint, tmp_path / "broken"))
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded"):
        export_checkpoint(broken, tmp_path / "a", settings=LOOSE, **recipe())


def test_a_missing_extra_says_how_to_install_it(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optimum.onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"pip install 'reindex\[export\]'"):
        export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe())


def test_spaces_follow_weights_and_recipe(checkpoint: Path, tmp_path: Path) -> None:
    other = make_tiny_checkpoint(tmp_path / "other", pooling="cls")
    spaces = {
        export_checkpoint(
            source, tmp_path / f"a{i}", settings=LOOSE, **recipe(**changes)
        ).manifest.space
        for i, (source, changes) in enumerate(
            [(checkpoint, {}), (checkpoint, {"query_prompt": "q: "}), (other, {})]
        )
    }
    assert len(spaces) == 3


def test_stdout_stays_the_callers(
    checkpoint: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    export_checkpoint(checkpoint, tmp_path / "a", settings=LOOSE, **recipe())
    assert capfd.readouterr().out == ""
