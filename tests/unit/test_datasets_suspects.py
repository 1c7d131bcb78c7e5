"""Negatives that a search finds before the positive, and files whose columns are named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from reindex.corpus.training_sets import TrainingSet
from reindex.datasets.checks import places
from reindex.datasets.suspects import by_vectors, by_words
from reindex.records import TrainingExample
from reindex.stages import checking_data
from tests.unit.test_datasets_checks import check, project, run
from tests.unit.test_datasets_reading import put
from tests.word_encoder import WordEncoder

ROWS = [
    TrainingExample(
        "replace the filter", "open the lid and swap the filter",
        ("replace the old filter with a new filter", "covers two years"),
    ),
    TrainingExample(
        "warranty period", "the warranty period lasts for two years", ("how to open the lid",)
    ),
    TrainingExample("no negatives", "at all"),
]  # fmt: skip
PLACES = places([TrainingSet("triplets", ROWS, "a.jsonl", lines=(4, 7, 9))])


def test_bm25_names_the_negative_that_has_more_of_the_querys_words() -> None:
    pytest.importorskip("bm25s")
    [found] = by_words(PLACES)
    assert found.message.startswith("1 negatives of 2 rows match the query's words better")
    [example] = found.examples
    assert str(example).startswith("a.jsonl:4: replace the old filter")


def test_a_model_names_what_is_as_near_as_the_positive_or_nearly() -> None:
    [found] = by_vectors(PLACES, WordEncoder())
    assert found.severity == "warning"
    [example] = found.examples
    assert str(example).startswith("a.jsonl:4: replace the old filter")
    [wider] = by_vectors(PLACES, WordEncoder(), margin=0.99)
    assert len(wider.examples) > 1
    assert wider.examples[0] == example  # the farthest ahead first


def test_rows_without_negatives_have_no_suspects() -> None:
    assert not [*by_words(PLACES[2:]), *by_vectors(PLACES[2:], WordEncoder())]


def test_the_command_takes_a_model_and_says_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(tmp_path)
    file = put(
        tmp_path / "a.jsonl",
        *({"query": row.anchor, "positive": row.positive, "negative": row.negatives[0]}
          for row in ROWS[:2]),
    )  # fmt: skip
    asked: list[str] = []

    def named(_: object, spec: str) -> WordEncoder:
        asked.append(spec)
        return WordEncoder()

    assert "false negatives by a model" not in check(root, str(file))[1]
    monkeypatch.setattr(checking_data, "encoder_named", named)
    found = check(root, str(file), "--model", "v7")[1]["false negatives by a model"]
    assert asked == ["v7"]
    assert found["message"].startswith("1 negatives of 2 rows are at least 95% as near")


def test_without_bm25s_the_check_says_so_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    file = put(tmp_path / "a.jsonl", {"query": "q", "positive": "p", "negative": "n"})
    found = check(project(tmp_path), str(file))[1]["false negatives by words"]
    assert "not looked for" in found["message"]


def test_kind_and_columns_say_what_a_file_holds(tmp_path: Path) -> None:
    root = project(tmp_path)
    rows = [{"frage": f"was ist {n}", "antwort": f"es ist {n}"} for n in range(20)]
    file = put(tmp_path / "a.jsonl", *rows)
    assert "unreadable" in check(root, str(file))[1]
    named = ("--kind", "pairs", "--columns", "anchor=frage", "--columns", "positive=antwort")
    report, found = check(root, str(file), *named)
    assert "unreadable" not in found
    assert (report["files"][0]["kind"], report["files"][0]["rows"]) == ("pairs", 20)
    done = run(root, "split", str(file), "-o", str(tmp_path / "out"), *named, "--json")
    assert sum(json.loads(done.stdout)["rows"].values()) == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check", "--kind", "pairs"], "Name it, or set kind and columns"),
        (["split", "--columns", "anchor=a"], "Name it, or set kind and columns"),
        (["check", "a.jsonl", "--columns", "anchor"], "expected ROLE=COLUMN"),
        (["check", "a.jsonl", "--kind", "pears"], "expected one of pairs, triplets"),
    ],
)
def test_a_mistyped_option_is_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    done = run(project(tmp_path), *words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
