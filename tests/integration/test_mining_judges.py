"""Real judges: torch models, cross-encoders and collections, tiny and with random weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reindex.config import TrainSettings
from reindex.datasets.reading import read_examples
from reindex.errors import ConfigError, ModelError
from reindex.stages.building import build
from reindex.stages.mining_files import MinedFile, mine_file
from tests.hash_project import HashWorkspace, hash_project
from tests.loop_fixtures import write_beir
from tests.model_fixtures import make_cross_encoder, make_tiny_checkpoint

pytest.importorskip("sentence_transformers")
pytest.importorskip("bm25s")

from reindex.training.base import load_base
from reindex.training.cross_encoder import PairScorer
from reindex.training.embedding import ModelEncoder
from reindex.training.pilot import encoder_of

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cross_encoder(tmp_path_factory.mktemp("cross") / "scorer")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HashWorkspace]:
    write_beir(tmp_path / "data")
    with hash_project(tmp_path) as workspace:
        yield workspace


def mine(project: HashWorkspace, **negatives: Any) -> MinedFile:
    settings = TrainSettings.model_validate({"negatives": negatives, "max_pairs": 30})
    return mine_file(project, settings, project.settings.root / "mined.jsonl")


def test_a_folder_embeds_as_sentence_transformers_does(model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(model), device="cpu")
    encoder = ModelEncoder(str(model), prompts=("ask: ", "tell: "))
    expected = plain.encode(["ask: river"]), plain.encode(["tell: river"])
    np.testing.assert_allclose(encoder.encode_queries(["river"]), expected[0], atol=1e-5)
    np.testing.assert_allclose(encoder.encode_documents(["river"]), expected[1], atol=1e-5)
    assert encoder.space != ModelEncoder(str(model)).space


def test_the_base_is_looked_at_with_the_pooling_that_training_gives_it(model: Path) -> None:
    own = ModelEncoder(str(model), max_length=16)
    pooled = encoder_of(str(model), TrainSettings(pooling="cls", max_length=16))
    trained = load_base(str(model), max_length=16, pooling="cls").encode(["a river"])
    np.testing.assert_allclose(pooled.encode_queries(["a river"]), trained, atol=1e-5)
    assert np.abs(own.encode_queries(["a river"]) - trained).max() > 1e-3
    assert pooled.space != own.space  # vectors that are kept are not mixed up


def test_dense_negatives_of_a_folder_are_the_nearest_texts(
    project: HashWorkspace, model: Path
) -> None:
    done = mine(project, sources="dense", model=str(model), relative_margin=None)
    encoder = ModelEncoder(str(model))
    texts = [document.text for document in project.source.documents(_Nothing())]
    vectors = encoder.encode_documents(texts)
    for row in read_examples(done.path)[:5]:
        cosines = vectors @ encoder.encode_queries([row.anchor])[0]
        order = [texts[at] for at in np.argsort(-cosines) if texts[at] != row.positive]
        assert row.negatives[0] in order[:2]  # near-equal scores may change places


class _Nothing:
    count, ids = 0, frozenset[int | str]()

    def add(self, **_: Any) -> None: ...

    def ok(self, rows: int = 1) -> None: ...


def test_a_cross_encoder_scores_pairs(cross_encoder: Path) -> None:
    scorer = PairScorer(str(cross_encoder))
    one, other = scorer.score([("apple river", "fabric iron"), ("apple river", "queen rocket")])
    assert one != other
    assert 0 <= one <= 1
    assert scorer.score([("apple river", "fabric iron")])[0] == pytest.approx(one, abs=1e-5)


def test_a_model_with_several_scores_is_no_judge(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gives 3 scores for a pair"):
        PairScorer(str(make_cross_encoder(tmp_path / "three", labels=3)))


def test_a_model_that_embeds_is_no_cross_encoder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="embeds texts one by one"):
        PairScorer(str(make_tiny_checkpoint(tmp_path / "base")))


def test_a_cross_encoder_denoises_by_its_own_scores(
    project: HashWorkspace, cross_encoder: Path
) -> None:
    done = mine(
        project, sources="random", cross_encoder=str(cross_encoder), number=3,
        relative_margin=0.02, when_short="leave-out",
    )  # fmt: skip
    assert done.report.refused["random"]["relative margin"] > 0
    scorer = PairScorer(str(cross_encoder))
    for row in read_examples(done.path):
        scores = scorer.score([(row.anchor, text) for text in (row.positive, *row.negatives)])
        assert max(scores[1:]) <= 0.98 * scores[0] + 1e-5


def test_pairs_are_scored_once(
    project: HashWorkspace, cross_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine(project, sources="random", cross_encoder=str(cross_encoder))
    asked: list[int] = []
    score = PairScorer.score

    def counted(self: PairScorer, pairs: Sequence[tuple[str, str]]) -> Any:
        asked.append(len(pairs))
        return score(self, pairs)

    monkeypatch.setattr(PairScorer, "score", counted)
    again = mine(project, sources="random", cross_encoder=str(cross_encoder), min_score=0.0)
    assert not again.report.cached
    assert sum(asked) == 0


def test_a_collection_that_stands_is_searched(project: HashWorkspace) -> None:
    build(project, "v1")
    embedded = project.embedded
    found = mine(
        project, sources="dense", model="v1", search="collection", relative_margin=None, number=3
    )
    assert project.embedded == embedded  # no document
    rows = read_examples(found.path)
    exact = mine(project, sources="dense", model="v1", relative_margin=None, number=3)
    same = zip(rows, read_examples(exact.path), strict=True)
    assert all(set(one.negatives) == set(other.negatives) for one, other in same)


def test_without_a_collection_it_says_what_to_do(project: HashWorkspace) -> None:
    with pytest.raises(ConfigError, match="reindex build"):
        mine(project, sources="dense", model="v1", search="collection")
