"""A teacher's scores: of a cross-encoder or a bi-encoder, computed once, learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reindex.errors import ModelError
from reindex.records import TrainingExample
from tests.model_fixtures import make_cross_encoder
from tests.objective_fixtures import triplets
from tests.training_fixtures import settings, tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")

import torch

from reindex.training import teacher as teaching
from reindex.training.base import load_base
from reindex.training.cross_encoder import PairScorer
from reindex.training.finetune import fine_tune
from reindex.training.libraries import quiet
from reindex.training.teacher import load_teacher, teach

pytestmark = pytest.mark.train


@pytest.fixture(name="base", scope="module")
def _base(tiny_base: str) -> str:  # noqa: F811
    return tiny_base


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_cross_encoder(tmp_path_factory.mktemp("cross") / "encoder"))


def asked(teacher: Any) -> list[int]:
    """Counts the pairs that the teacher's model is asked for."""
    counts: list[int] = []
    score = teaching.Teacher.score

    def counting(self: Any, pairs: Any) -> list[float]:
        counts.append(len(pairs))
        return score(self, pairs)

    teacher.setattr(teaching.Teacher, "score", counting)
    return counts


def test_a_cross_encoders_logits_are_what_its_own_library_says(cross: str, tmp_path: Path) -> None:
    import sentence_transformers

    rows = triplets(2)[:5]
    taught = teach(load_teacher(cross), rows, tmp_path / "cache" / "scores.db")
    model = sentence_transformers.CrossEncoder(cross)
    for row in taught:
        pairs = [(row.anchor, text) for text in (row.positive, *row.negatives)]
        expected = model.predict(pairs, activation_fn=torch.nn.Identity())
        assert list(row.scores) == pytest.approx(list(expected), abs=1e-5)


def test_a_cross_encoder_that_sentence_transformers_saved_is_one(
    cross: str, tmp_path: Path
) -> None:
    """Newer releases write modules.json beside it, as they do for embedding models."""
    from sentence_transformers import CrossEncoder

    with quiet():
        CrossEncoder(cross).save_pretrained(str(tmp_path / "saved"))
    pairs = [("apple river", "fabric iron"), ("apple river", "queen rocket")]
    saved, plain = load_teacher(str(tmp_path / "saved")), load_teacher(cross)
    assert saved.cross
    assert saved.score(pairs) == pytest.approx(plain.score(pairs), abs=1e-6)
    judge = PairScorer(str(tmp_path / "saved"))
    assert judge.score(pairs) == pytest.approx(PairScorer(cross).score(pairs), abs=1e-6)


def test_a_bi_encoders_cosines_and_its_own_prompts(base: str, tmp_path: Path) -> None:
    model = load_base(base, max_length=None, prompts=("query: ", "passage: "))
    with quiet():
        model.save_pretrained(str(tmp_path / "prompted"), create_model_card=False)
    rows = triplets(1)[:3]
    [plain, prompted] = [
        teach(load_teacher(spec), rows, tmp_path / "scores.db")
        for spec in (base, str(tmp_path / "prompted"))
    ]
    first = model.encode_query([rows[0].anchor])[0] @ model.encode_document([rows[0].positive])[0]
    assert prompted[0].scores[0] == pytest.approx(float(first), abs=1e-5)
    assert plain[0].scores[0] != pytest.approx(prompted[0].scores[0], abs=1e-4)


def test_scores_are_computed_once_and_kept_while_others_are_missing(
    cross: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "KEEP_EVERY", 16)
    counts = asked(monkeypatch)
    teacher, cache, rows = load_teacher(cross), tmp_path / "scores.db", triplets(1)[:30]

    def killed(stage: str, done: int, total: int | None) -> None:
        if done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach(teacher, rows, cache, progress=killed)
    kept = sum(counts)
    assert kept == 32
    taught = teach(teacher, rows, cache)
    pairs = {(row.anchor, text) for row in rows for text in (row.positive, *row.negatives)}
    assert sum(counts) == len(pairs)  # not one twice
    assert teach(load_teacher(cross), rows, cache) == taught
    assert sum(counts) == len(pairs)
    own = TrainingExample("q", "d", ("n",), (1.0, 0.0))
    assert teach(teacher, [own], cache) == [own]


def test_another_teacher_has_scores_of_its_own(cross: str, base: str, tmp_path: Path) -> None:
    cache, rows = tmp_path / "scores.db", triplets(1)[:3]
    one = teach(load_teacher(cross), rows, cache)
    other = teach(load_teacher(base), rows, cache)
    assert one != other
    assert teach(load_teacher(cross), rows, cache) == one


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["kl", "margin-mse"])
def test_a_student_comes_nearer_to_its_teacher(
    loss: str, cross: str, base: str, tmp_path: Path
) -> None:
    rows = teach(load_teacher(cross), triplets(2), tmp_path / "scores.db")
    asked = settings(loss=loss, epochs=16, learning_rate=2e-3, dropout=0.0)
    result = fine_tune(asked, rows, None, tmp_path / "run", base=base)
    texts = [(row.anchor, row.positive, row.negatives[0]) for row in rows]

    def agreement(spec: str) -> float:
        """Spearman's of the student's and the teacher's margins."""
        from scipy.stats import spearmanr

        model = load_base(spec, max_length=None)
        first, second, third = (model.encode(list(side)) for side in zip(*texts, strict=True))
        margins = (first * second).sum(axis=1) - (first * third).sum(axis=1)
        return float(spearmanr(margins, [row.scores[0] - row.scores[1] for row in rows]).statistic)

    assert agreement(str(result.checkpoint)) > agreement(base) + 0.1
    assert result.lineage["objectives"][0]["loss"] == loss


def test_a_teacher_of_several_labels_is_refused(tmp_path: Path) -> None:
    folder = str(make_cross_encoder(tmp_path / "nli", labels=3))
    with pytest.raises(ModelError, match="gives 3 figures per pair"):
        load_teacher(folder)
