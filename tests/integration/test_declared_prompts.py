"""A base's own prompts: the same in training, in the artifact and in serving, and told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reindex.artifact import load_manifest
from reindex.config import TrainSettings
from reindex.project import Project
from reindex.prompts import FILE
from tests.loop_fixtures import run, write_beir
from tests.model_fixtures import make_tiny_checkpoint

pytest.importorskip("sentence_transformers")

from sentence_transformers import SentenceTransformer

pytestmark = pytest.mark.train

PROMPTS = ["query: ", "passage: "]
TEXT = "apple river"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model that declares prompts, under the names that E5 models use."""
    folder = make_tiny_checkpoint(tmp_path_factory.mktemp("base") / "tiny")
    file = folder / FILE
    content = json.loads(file.read_text())
    content["prompts"] = dict(zip(("query", "passage"), PROMPTS, strict=True))
    file.write_text(json.dumps(content))
    return str(folder)


@pytest.fixture
def project(tmp_path: Path, base: str) -> Iterator[Project]:
    write_beir(tmp_path / "data")
    (tmp_path / "data" / "qrels" / "dev.tsv").unlink()
    run(tmp_path, "init", "--source", str(tmp_path / "data"), "--kind", "beir", "--base", base)
    with Project.open(tmp_path) as opened:
        yield opened


def served(project: Project, version: str) -> tuple[np.ndarray, np.ndarray]:
    """The version's int8 artifact: a query's and a document's vector."""
    project.export(version)
    exported = project.registry.version(version)
    manifest = load_manifest(project.settings.home / str(exported.artifact))
    assert [manifest.query_prompt, manifest.document_prompt] == PROMPTS
    encoder = project.encoder(exported)
    return encoder.encode_queries([TEXT])[0], encoder.encode_documents([TEXT])[0]


def embedded(checkpoint: str, prompt: str) -> np.ndarray:
    model = SentenceTransformer(checkpoint, device="cpu")
    return np.asarray(model.encode(prompt + TEXT, prompt="", normalize_embeddings=True))


def test_an_adopted_base_embeds_with_what_it_declares(project: Project, base: str) -> None:
    version = project.adopt_base()
    assert [version.recipe["query_prompt"], version.recipe["document_prompt"]] == PROMPTS
    for vector, prompt in zip(served(project, version.name), PROMPTS, strict=True):
        assert float(vector @ embedded(base, prompt)) > 0.98
        assert float(vector @ embedded(base, "")) < 0.95


def test_a_trained_version_keeps_them_from_training_to_serving(project: Project, base: str) -> None:
    settings = TrainSettings(base=base, max_pairs=40, batch_size=16, learning_rate=5e-3)
    done = project.train(settings)
    assert done.result is not None
    assert done.result.lineage["prompts"] == PROMPTS
    checkpoint = str(done.result.checkpoint)
    declared = json.loads((Path(checkpoint) / FILE).read_text())["prompts"]
    assert [declared["query"], declared["document"]] == PROMPTS
    for vector, prompt in zip(served(project, done.version.name), PROMPTS, strict=True):
        assert float(vector @ embedded(checkpoint, prompt)) > 0.98
    assert project.train(settings).result is None  # the very same recipe
    said = settings.model_copy(update={"query_prompt": PROMPTS[0], "document_prompt": PROMPTS[1]})
    assert project.train(said).version.name == done.version.name
    without = settings.model_copy(update={"query_prompt": "", "document_prompt": ""})
    assert project.train(without).version.name != done.version.name


def test_the_user_is_told(project: Project, base: str, tmp_path: Path) -> None:
    told = run(tmp_path, "init", "--adopt", "--base", base).output
    assert "'query: ' before queries, 'passage: ' before documents" in told
