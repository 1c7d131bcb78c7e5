"""`reindex advise` for real: tiny models train in its pilot; it says what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reindex.cli import main
from tests.advice_fixtures import task_project, write_task
from tests.training_fixtures import pairs as training_pairs
from tests.training_fixtures import tiny_base  # noqa: F401

pytest.importorskip("sentence_transformers")
pytest.importorskip("bm25s")

pytestmark = pytest.mark.train

Advise = Callable[..., Result]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A model this small gains nothing from threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def advise(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["-c", str(folder), "advise", *options])


def test_a_pilot_shows_what_training_brings_without_any_version(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    write_task(tmp_path / "data")
    task_project(tmp_path, tiny_base, train={"epochs": 20}).close()
    done = advise(tmp_path, "--json", "--budget", "5")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert [item["role"] for item in made["finds"]] == ["base", "bm25", "hybrid"]
    assert made["judged"]["uses"] == 1
    assert made["judged"]["queries"] == 20
    assert made["pairs"] == 80
    assert made["cost"]["documents"] == 100
    points = {point["pairs"]: point["ndcg"]["value"] for point in made["pilot"]["points"]}
    assert list(points) == [0, 64, 80]  # an eighth to a half of 80 would be too few to say much
    assert points[80] > 2 * points[0]
    guess = made["pilot"]["estimates"][0]
    assert guess["metric"] == "ndcg@10"
    assert guess["low"] <= guess["value"] <= guess["high"]
    assert made["course"] == "fine-tune"
    assert [path.name for path in (tmp_path / ".reindex").iterdir() if path.is_dir()] == []
    again = json.loads(advise(tmp_path, "--json", "--no-pilot").stdout)
    assert again["judged"]["uses"] == 2
    assert (again["pilot"], again["course"]) == (None, "synthesise")
    assert again["finds"] == made["finds"]


def test_people_get_tables_and_the_next_command(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    write_task(tmp_path / "data")
    task_project(tmp_path, tiny_base, advice={"few_pairs": 10, "some_pairs": 20}).close()
    said = advise(tmp_path, "--no-pilot", "--base", "no-such-model!")
    assert said.exit_code == 0, said.output
    for words in (
        "recall@10",
        "hybrid",
        "Advice: fine-tune",
        "Next: reindex train",
        "no-such-model!",
    ):
        assert words in said.output


def test_without_judgements_pairs_or_documents_it_says_what_is_missing(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    write_task(tmp_path / "data", judged=False, trained=False)
    task_project(tmp_path, tiny_base).close()
    made = json.loads(advise(tmp_path, "--json").stdout)
    assert (made["course"], made["judged"], made["pairs"]) == ("judge", None, None)
    assert [item.split(":")[0] for item in made["missing"]] == [
        "training pairs", "judged queries", "the cost of reindexing",
    ]  # fmt: skip
    (tmp_path / "data" / "corpus.jsonl").unlink()
    bare = advise(tmp_path)
    assert bare.exit_code == 0, bare.output
    assert "documents:" in bare.output


def test_wrong_input_is_one_clear_line(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    write_task(tmp_path / "data")
    task_project(tmp_path, "no-such-model!").close()
    said = advise(tmp_path, "--budget", "1")
    assert said.exit_code == 0
    assert "no-such-model!" in said.output
    assert "Traceback" not in said.output
    assert advise(tmp_path, "--budget", "0").exit_code == 2
    qrels = tmp_path / "data/qrels/dev.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\nq1\tgone\t1\n", "utf-8")
    wrong = advise(tmp_path)
    assert wrong.exit_code == 1
    assert "Error:" in wrong.output


def test_a_pilot_leaves_out_what_pairs_alone_cannot_be_trained_with(
    tiny_base: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The recipe distils on mined negatives and mixes in scored pairs; the advice is no error."""
    write_task(tmp_path / "data")
    pairs = [{"query": row.anchor, "answer": row.positive} for row in training_pairs()]
    scored = [{"sentence1": "a house", "sentence2": f"the hut {at}", "score": 0.5} for at in "ab"]
    for name, rows in (("pairs", pairs), ("sts", scored)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines, "utf-8")
    train = {
        "teacher": tiny_base,
        "negatives": {"sources": ["bm25"], "phases": 2},
        "averaging": {"base_weight": "auto", "general": ["sts.jsonl"]},
        "data": [{"path": "pairs.jsonl", "loss": "kl"}, {"path": "sts.jsonl"}],
        "epochs": 1,
    }
    task_project(tmp_path, tiny_base, train=train).close()
    done = advise(tmp_path, "--json", "--budget", "5")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["pairs"] == 80
    assert [point["pairs"] for point in made["pilot"]["points"]] == [0, 64, 80]
    assert made["pilot"]["unknown"][-1] == (
        "what your settings bring beside the pairs: mined negatives, a teacher, the average with "
        "the base"
    )
    assert any("2 rows of kind scored" in item for item in made["missing"])


def test_too_little_time_for_a_pilot_is_said(tiny_base: str, tmp_path: Path) -> None:  # noqa: F811
    write_task(tmp_path / "data")
    task_project(tmp_path, tiny_base, train={"epochs": 1000}).close()
    made = json.loads(advise(tmp_path, "--json", "--budget", "0.02").stdout)
    assert made["pilot"] is None
    assert any("minutes are too few" in item for item in made["missing"])
