"""Training on mined negatives: phases, rounds, and going on after a kill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reindex.config import TrainSettings
from reindex.project import Project
from tests.loop_fixtures import run, write_beir
from tests.model_fixtures import make_tiny_checkpoint

pytest.importorskip("sentence_transformers")
pytest.importorskip("bm25s")

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_tiny_checkpoint(tmp_path_factory.mktemp("base") / "tiny"))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    write_beir(tmp_path / "data")
    (tmp_path / "data" / "qrels" / "dev.tsv").unlink()  # the last checkpoint is the model
    run(tmp_path, "init", "--source", str(tmp_path / "data"), "--kind", "beir")
    with Project.open(tmp_path) as opened:
        yield opened


def settings(base: str, **negatives: Any) -> TrainSettings:
    return TrainSettings.model_validate({
        "base": base, "max_pairs": 60, "batch_size": 32, "learning_rate": 5e-3,
        "negatives": {"relative_margin": None, **negatives},
    })  # fmt: skip


def test_negatives_are_part_of_the_version(project: Project, base: str) -> None:
    plain = project.train(settings(base))
    mined = project.train(settings(base, sources="dense", number=2))
    assert mined.version.name != plain.version.name
    assert mined.version.recipe["negatives"]["number"] == 2
    (told,) = mined.version.recipe["lineage"]["rounds"]
    assert told["mined"][0]["taken"] == {"dense": 120}
    assert "rounds" not in plain.version.recipe["lineage"]
    again = project.train(settings(base, sources="dense", number=2))
    assert again.result is None
    assert again.version.name == mined.version.name


def test_a_recipe_from_before_negatives_is_the_same(project: Project, base: str) -> None:
    plain = project.train(settings(base)).version
    old = {key: value for key, value in plain.recipe.items() if key != "negatives"}
    project.registry.update_version(plain.name, recipe=old)
    assert project.train(settings(base)).version.name == plain.name


def test_a_curriculum_trains(project: Project, base: str) -> None:
    done = project.train(settings(base, sources="dense,random", phases=2))
    assert done.result is not None
    assert done.result.examples == 60
    assert done.result.steps >= 2


@pytest.mark.slow
def test_rounds_mine_with_the_tuned_model_and_are_recorded(project: Project, base: str) -> None:
    done = project.train(settings(base, sources="dense", rounds=2))
    assert done.result is not None
    first, second = done.version.recipe["lineage"]["rounds"]
    assert first["base_sha256"] != second["base_sha256"]
    assert first["data_sha256"] != second["data_sha256"]  # another model finds others
    assert done.result.steps == first["steps"] + second["steps"]
    assert {entry["round"] for entry in done.result.history} == {1.0, 2.0}
    folder = project.run_folder(done.version.name)
    assert [str(item.relative_to(folder)) for item in folder.glob("**/model")] == ["round-2/model"]
    assert (project.settings.home / str(done.version.checkpoint) / "config.json").is_file()


@pytest.mark.slow
def test_a_round_that_was_cut_off_goes_on(
    project: Project, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(base, sources="dense", rounds=2)
    calls: list[int] = []

    def cut_off(*given: Any) -> Any:
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr("reindex.stages.rounds.mine_sets", cut_off)
    with pytest.raises(KeyboardInterrupt):
        project.train(wanted)
    assert calls == [1]
    (cut,) = project.registry.versions()
    state = json.loads((project.run_folder(cut.name) / "run.json").read_text())
    monkeypatch.undo()
    done = project.train(wanted)
    assert done.version.name == cut.name
    first, _ = done.version.recipe["lineage"]["rounds"]
    assert first["seconds"] == state["result"]["seconds"]  # not trained again


@pytest.mark.slow
def test_rounds_are_averaged_with_the_base_and_turned_in_the_end(
    project: Project, base: str
) -> None:
    recipe = settings(base, sources="dense", rounds=2).model_dump() | {
        "averaging": {"base_weight": 0.5}, "matryoshka_dims": (32, 8), "rotate": True,
    }  # fmt: skip
    done = project.train(TrainSettings.model_validate(recipe))
    assert done.result is not None
    assert [item["dim"] for item in done.result.rotation["prefixes"]] == [8]
    assert done.result.averaging["base_weight"] == 0.5
