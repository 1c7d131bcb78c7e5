"""A project that trains on several files with a teacher, and says what was forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.loop_fixtures import run, run_json, write_beir
from tests.objective_fixtures import rows_of, triplets
from tests.training_fixtures import tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")

from reindex.training.teacher import load_teacher

pytestmark = pytest.mark.train

CONFIG = """
[project]
name = "several"
[source]
path = "data"
[train]
base = "{base}"
teacher = "{base}"
epochs = 1
batch_size = 16
learning_rate = 0.005
evaluations = 1
[train.averaging]
base_weight = 0.5
general = ["sts.jsonl"]
[[train.data]]
path = "triplets.jsonl"
[[train.data]]
path = "sts.jsonl"
weight = 0.5
"""


def write(file: Path, rows: list[dict[str, object]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def test_objectives_a_teacher_and_forgetting_end_to_end(tmp_path: Path, tiny_base: str) -> None:  # noqa: F811
    write_beir(tmp_path / "data")
    write(tmp_path / "triplets.jsonl", [
        {"anchor": row.anchor, "positive": row.positive, "negative": row.negatives[0]}
        for row in triplets(1)
    ])  # fmt: skip
    write(tmp_path / "sts.jsonl", [
        {"sentence1": row.first, "sentence2": row.second, "score": row.score}  # type: ignore[union-attr]
        for row in rows_of("scored").rows
    ])  # fmt: skip
    (tmp_path / "reindex.toml").write_text(CONFIG.format(base=tiny_base), "utf-8")
    run(tmp_path, "init")
    version = run_json(tmp_path, "train", "--json")["version"]
    kinds = [(item["kind"], item["loss"]) for item in version["recipe"]["lineage"]["objectives"]]
    assert kinds == [("triplets", "kl"), ("scored", "cosent")]
    teachers = [item.get("teacher_sha256") for item in version["recipe"]["lineage"]["objectives"]]
    assert teachers == [load_teacher(tiny_base).digest, None]
    assert any(name.startswith("spearman") for name in version["metrics"]["before"])
    assert (tmp_path / ".reindex" / "teacher-scores.db").is_file()
    if not version["metrics"]["best_is_base"]:
        assert version["metrics"]["averaging"]["base_weight"] == 0.5
    again = run_json(tmp_path, "train", "--json")["version"]
    assert again["name"] == version["name"]
