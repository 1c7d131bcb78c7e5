"""Training on data of several kinds, and on folds, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from reindex.cli import main
from reindex.config.template import render_config
from reindex.corpus.training_sets import texts_of
from reindex.project import open_project
from reindex.training.finetune import fine_tune
from tests.training_fixtures import pairs, tiny_base
from tests.unit.test_datasets_reading import put

__all__ = ["tiny_base"]

pytestmark = pytest.mark.train

FIRST = pairs()[0].anchor


@pytest.fixture
def root(tmp_path: Path, tiny_base: str) -> Path:
    """A project over the answers as documents; the first pair's query is judged."""
    rows = ({"_id": f"d{at}", "text": row.positive} for at, row in enumerate(pairs()))
    put(tmp_path / "corpus.jsonl", *rows)
    put(tmp_path / "queries.jsonl", {"_id": "q0", "text": FIRST})
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("q0\td0\t1\n")
    train: dict[str, Any] = {
        "base": tiny_base, "batch_size": 16, "learning_rate": 5e-3, "max_length": 16
    }  # fmt: skip
    (tmp_path / "reindex.toml").write_text(
        render_config({"source": {"kind": "beir", "path": Path(".")}, "train": train}), "utf-8"
    )
    assert run(tmp_path, "init").exit_code in (0, 1)
    put(tmp_path / "pairs.jsonl",
        *({"query": row.anchor, "positive": row.positive} for row in pairs()))  # fmt: skip
    return tmp_path


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["-c", str(root), *arguments])


def test_several_kinds_train_one_version_and_no_judged_query_is_seen(root: Path) -> None:
    scored = put(
        root / "scored.csv",
        *({"text1": row.anchor, "text2": row.positive, "score": at % 6}
          for at, row in enumerate(pairs()[:24])),
    )  # fmt: skip
    nli = put(
        root / "nli.jsonl",
        *({"premise": row.anchor, "hypothesis": pairs()[at + shift].positive, "label": label}
          for at, row in enumerate(pairs()[:20]) for label, shift in ((0, 0), (2, 7), (-1, 3))),
    )  # fmt: skip
    files = [str(root / "pairs.jsonl"), str(scored), str(nli)]
    command = ["train", *(part for file in files for part in ("--data", file)), "--json"]
    done = run(root, *command)
    assert done.exit_code == 0, done.output
    trained = json.loads(done.stdout)
    assert trained["held_out"] == 1 + 1 + 2  # a pair, a scored pair, both NLI rows that agreed
    version = trained["version"]
    kinds = [item["kind"] for item in version["recipe"]["lineage"]["objectives"]]
    assert kinds == ["pairs", "scored", "nli"]
    again = json.loads(run(root, *command).stdout)
    assert again["version"]["name"] == version["name"], "the same data is the same recipe"
    put(root / "scored.csv", {"text1": "x", "text2": "y", "score": 1},
        {"text1": "u", "text2": "v", "score": 3})  # fmt: skip
    other = json.loads(run(root, *command).stdout)
    assert other["version"]["name"] != version["name"], "scores are part of the recipe"


def test_bad_rows_and_how_the_data_was_read_are_told(root: Path) -> None:
    fields: list[dict[str, Any]] = [
        {"query": row.anchor + more, "positive": row.positive, "score": 9}
        for row in pairs() for more in ("", " s")
    ]  # fmt: skip
    fields[3]["positive"] = None
    file = put(root / "some.jsonl", *fields)
    done = run(root, "train", "--pairs", str(file), "--epochs", "0.1")
    said = " ".join(done.output.split())
    assert done.exit_code == 0, said
    assert "some.jsonl: 1 rows could not be used; they are in dead-letters/pairs.jsonl" in said
    assert "some.jsonl: the column score says nothing here" in said
    assert len((root / ".reindex/dead-letters/pairs.jsonl").read_text().splitlines()) == 1
    again = json.loads(run(root, "train", "--pairs", str(file), "--epochs", "0.1", "--json").stdout)
    assert len(again["told"]) == 2


def test_folds_measure_and_make_no_version(root: Path) -> None:
    command = ["train", "--data", str(root / "pairs.jsonl"), "--folds", "2"]
    done = run(root, *command, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [fold["rows"] for fold in found["folds"]] == [40, 39]
    assert found["held_out"] == 1
    assert found["documents"] == 79
    for metric, mean in found["after"].items():
        assert mean == pytest.approx(sum(fold["after"][metric] for fold in found["folds"]) / 2)
    assert found["folds"][0]["before"] != found["folds"][0]["after"]
    with open_project(root) as project:
        assert not project.registry.versions()
    (folder,) = (root / ".reindex" / "runs").glob("folds-*")
    assert sorted(path.name for path in folder.iterdir()) == ["fold-1.json", "fold-2.json"]
    (folder / "fold-2.json").unlink()  # as if killed in the second
    resumed = json.loads(run(root, *command, "--json").stdout)
    assert resumed["folds"][0] == found["folds"][0]
    assert resumed["after"] == pytest.approx(found["after"])
    assert "on average" in run(root, *command).output
    assert run(root, *command, "--trials", "2").exit_code == 2


def test_what_a_fold_measures_is_in_no_kind_of_its_training(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queries stand in scored pairs too, and the answers in classes."""
    scored = put(
        root / "scored.csv",
        *({"text1": row.anchor, "text2": row.positive, "score": at % 6}
          for at, row in enumerate(pairs())),
    )  # fmt: skip
    classes = put(
        root / "classes.jsonl",
        *({"text": row.positive, "label": row.positive[0]} for row in pairs()),
    )
    trained: list[set[str]] = []

    def watched(asked: Any, objectives: Any, *means: Any, **more: Any) -> Any:
        """The training itself, seen."""
        sets = [data for item in objectives for data in (item.data, item.dev) if data]
        trained.append({text for data in sets for row in data.rows for text in texts_of(row)})
        return fine_tune(asked, objectives, *means, **more)

    monkeypatch.setattr("reindex.training.finetune.fine_tune", watched)
    files = [str(root / "pairs.jsonl"), str(scored), str(classes)]
    done = run(root, "train", *(part for file in files for part in ("--data", file)),
               "--epochs", "0.2", "--folds", "2", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [fold["rows"] for fold in found["folds"]] == [120, 118]  # the judged query's answer too
    assert len(trained) == 2
    assert not trained[0] & trained[1]  # a half is left out for each
    assert sum(fold["queries"] for fold in found["folds"]) == 79


def test_a_fold_without_a_query_is_refused(root: Path) -> None:
    few = put(
        root / "few.jsonl",
        *({"query": f"{word} question", "positive": "one answer"} for word in "ab"),
    )
    scored = put(
        root / "scored.csv",
        *({"text1": row.anchor, "text2": row.positive, "score": at % 6}
          for at, row in enumerate(pairs()[1:])),
    )  # fmt: skip
    done = run(root, "train", "--data", str(few), "--data", str(scored), "--folds", "2")
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert "Expected a query with a document in each of 2 folds, got none among the" in said
    assert not list((root / ".reindex").glob("runs/*"))


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ('negatives]\nsources = "bm25"\nrounds = 2', "Folds measure one round of mining"),
        ('averaging]\nbase_weight = "auto"', "chosen on dev queries, and a fold has none"),
    ],
)
def test_folds_measure_no_other_recipe(root: Path, section: str, said: str) -> None:
    (root / "reindex.toml").write_text(
        f'[source]\nkind = "beir"\npath = "."\n[train.{section}\n', "utf-8"
    )
    done = run(root, "train", "--data", str(root / "pairs.jsonl"), "--folds", "2")
    assert done.exit_code == 1
    assert said in " ".join(done.output.split())


@pytest.mark.parametrize("option", ["--folds", "--trials"])
def test_what_one_process_measures_is_refused_under_a_launcher(
    root: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = run(root, "train", "--data", str(root / "pairs.jsonl"), option, "2")
    assert done.exit_code == 1
    assert f"a launcher started 2. Run `reindex train {option}` without it" in " ".join(
        done.output.split()
    )
    assert not list((root / ".reindex").glob("runs/*"))
