"""What cannot be trained is refused before anything is mined; what can, is reached from the CLI."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reindex.cli import main
from reindex.config import load_settings
from reindex.errors import ModelError
from reindex.project import Project
from reindex.stages.recipe_checks import with_guide
from tests.advice_fixtures import task_project, write_task
from tests.model_fixtures import make_cross_encoder
from tests.training_fixtures import tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")
pytest.importorskip("bm25s")

import torch

from reindex.training.base import load_base
from reindex.training.lineage import weights_hash
from reindex.training.teacher import load_teacher

pytestmark = pytest.mark.train


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["-c", str(folder), *words])


def project(folder: Path, base: str, **train: Any) -> Path:
    write_task(folder / "data")
    task_project(folder, base, train={"evaluations": 1, **train}).close()
    return folder


MINED = ("train", "--negatives", "bm25", "--epochs", "1")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*MINED, "--loss", "kl"), "without a teacher's scores or train.teacher"),
        ((*MINED, "--loss", "contrastive"), "does not take data of kind 'triplets'"),
        ((*MINED, "--loss", "kl", "--teacher", "data"), "holds no config.json"),
        ((*MINED, "--loss", "mnrl", "--teacher", "{base}"), "nothing learns from it"),
        (("train", "--teacher", "{base}"), "nothing learns from it"),
        ((*MINED, "--loss", "kl", "--trials", "2"), "without a teacher's scores"),
        ((*MINED, "--loss", "kl", "--folds", "2"), "without a teacher's scores"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_mined(
    words: tuple[str, ...],
    said: str,
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    if "--trials" in words:
        pytest.importorskip("optuna")
    project(tmp_path, tiny_base)
    done = run(tmp_path, *(word.format(base=tiny_base) for word in words))
    assert done.exit_code == 1
    assert said in done.output
    assert not (tmp_path / ".reindex" / "mined").exists()
    with Project(load_settings(tmp_path)) as opened:
        assert opened.registry.versions() == []


def test_a_plan_says_that_the_recipe_will_be_refused(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    project(tmp_path, tiny_base, loss="triplet")
    done = run(tmp_path, "plan", "--train")
    assert done.exit_code == 1
    assert "does not take data of kind 'pairs'" in done.output


@pytest.mark.parametrize("saved", [False, True], ids=["transformers", "sentence-transformers"])
def test_a_cross_encoder_is_no_base(saved: bool, tmp_path: Path) -> None:
    judge = make_cross_encoder(tmp_path / "judge")
    if saved:
        from sentence_transformers import CrossEncoder

        CrossEncoder(str(judge)).save_pretrained(str(tmp_path / "saved"))
        judge = tmp_path / "saved"
    project(tmp_path, str(judge))
    for words in (("train",), ("plan", "--train")):
        done = run(tmp_path, *words)
        assert done.exit_code == 1, done.output
        assert "is a cross-encoder: it scores a query and a document" in " ".join(
            done.output.split()
        )
    with Project(load_settings(tmp_path)) as opened:
        with pytest.raises(ModelError, match="is a cross-encoder"):
            opened.adopt_base()
        assert opened.registry.versions() == []


def test_a_classifier_of_texts_is_a_base(tmp_path: Path) -> None:
    """Encoders of a domain are published with a head for its classes."""
    load_base(str(make_cross_encoder(tmp_path / "classes", labels=3)), max_length=None)


def test_a_curriculum_without_negatives_costs_no_version(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    project(tmp_path, tiny_base, negatives={"phases": 2})
    assert "Expected negatives for each of 2 phases" in run(tmp_path, "train").output
    with Project(load_settings(tmp_path)) as opened:
        assert opened.registry.versions() == []


def test_quantizing_without_adapters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "reindex.toml").write_text("[train.lora]\nquantize = true\n", "utf-8")
    assert "quantize = true goes with adapters" in run(tmp_path, "versions").output


@pytest.mark.parametrize("file", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_teacher_scores_what_was_mined(file: bool, tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    """From pairs to distillation in one command; a mined file needs no scores either."""
    make_cross_encoder(tmp_path / "judge")
    project(tmp_path, tiny_base)
    teacher = load_teacher(str(tmp_path / "judge")).digest

    def taught(*words: str) -> tuple[int, int]:
        done = run(tmp_path, *words, "--loss", "margin-mse", "--teacher", "judge")
        assert done.exit_code == 0, done.output
        with Project(load_settings(tmp_path)) as opened:
            (told,) = opened.registry.versions()[-1].recipe["lineage"]["objectives"]
        assert (told["loss"], told["teacher_sha256"]) == ("margin-mse", teacher)
        with closing(sqlite3.connect(tmp_path / ".reindex/teacher-scores.db")) as scores:
            return told["rows"], scores.execute("SELECT count(*) FROM scores").fetchone()[0]

    assert taught(*MINED) == (80, 160)  # each query with its answer and one negative
    if not file:
        return
    mined = str(tmp_path / "mined.jsonl")
    assert run(tmp_path, "data", "mine", "--negatives", "bm25", "--output", mined).exit_code == 0
    assert taught("train", "--pairs", mined, "--epochs", "2") == (80, 160)  # all known already


def test_a_guide_is_named_as_a_base_is(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    project(tmp_path, tiny_base)
    shutil.copytree(tiny_base, tmp_path / "guide")
    with Project(load_settings(tmp_path)) as opened:
        opened.registry.add_version(base="b", kind="base", recipe={})
        opened.registry.update_version("v1", state="trained", checkpoint="checkpoints/v1")
        places = {"guide": tmp_path / "guide", "v1": tmp_path / ".reindex/checkpoints/v1"}
        for name, place in places.items():
            asked = opened.settings.train.model_copy(update={"guide": name})
            assert with_guide(opened, asked).guide == str(place)


@pytest.mark.slow
def test_a_guide_is_found_as_the_config_file_sees_it(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    shutil.copytree(tiny_base, tmp_path / "guide")
    other = load_base(str(tmp_path / "guide"), max_length=None)
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    other.save_pretrained(str(tmp_path / "guide"))
    project(tmp_path, tiny_base, loss="gist", guide="guide")
    done = run(tmp_path, "train", "--epochs", "1")
    assert done.exit_code == 0, done.output
    with Project(load_settings(tmp_path)) as opened:
        (version,) = opened.registry.versions()
    assert version.recipe["lineage"]["guide_sha256"] == weights_hash(other)
    assert version.recipe["guide"] == "guide"  # no place of this machine in the recipe
