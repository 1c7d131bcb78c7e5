"""What is found in training data, with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from reindex.cli import main
from tests.unit.test_datasets_reading import put

LONG = "press the large red button twice and then wait for one minute until it blinks"


def project(folder: Path, *, judged: tuple[str, ...] = ()) -> Path:
    """A project whose judged queries are these."""
    put(folder / "corpus.jsonl", {"_id": "d1", "text": "some document"})
    queries = [{"_id": f"q{at}", "text": text} for at, text in enumerate(judged)]
    put(folder / "queries.jsonl", *queries)
    (folder / "qrels").mkdir()
    rows = "".join(f"{item['_id']}\td1\t1\n" for item in queries)
    if queries:
        (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    (folder / "reindex.toml").write_text(
        '[source]\nkind = "beir"\npath = "."\n[train]\nbase = "nobody/nothing"\n', "utf-8"
    )
    return folder


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["-c", str(folder), "data", *arguments])


def check(folder: Path, *arguments: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The report, and its findings by check."""
    done = run(folder, "check", *arguments, "--json")
    assert done.exit_code in (0, 3), done.output
    found = json.loads(done.stdout)
    return found, {item["check"]: item for item in found["findings"]}


def test_everything_that_is_wrong_with_triplets_is_found_and_named(tmp_path: Path) -> None:
    root = project(tmp_path, judged=("who wrote the book about the old sea", "an exact one"))
    file = put(
        tmp_path / "a.jsonl",
        {"query": "how to restart", "positive": LONG, "negative": f"{LONG} slowly"},
        {"query": "how to RESTART", "positive": LONG, "negative": f"{LONG} slowly"},
        {"query": "how to restart", "positive": "call us", "negative": LONG},
        {"query": "the same", "positive": "The  same", "negative": "n"},
        {"query": "who wrote the book about the old sea?", "positive": "p", "negative": "n"},
        {"query": "other", "positive": "An exact one", "negative": "n"},
        {"query": "one more", "positive": f"{LONG} now", "negative": "n"},
        {"query": "x", "positive": None, "negative": "n"},
    )
    report, found = check(root, str(file))
    (item,) = report["files"]
    assert (item["kind"], item["rows"], item["bad_rows"]) == ("triplets", 7, 1)
    assert item["negatives"] == {"1": 7}
    assert [one["column"] for one in item["lengths"]] == ["query", "positive", "negative"]
    places = {
        name: [example.partition(": ")[0].replace(f"{file}:", "") for example in item["examples"]]
        for name, item in found.items()
    }
    assert places == {
        "bad rows": ["8"],
        "duplicates": ["2"],
        "positive and negative": ["3"],
        "query is its positive": ["4"],
        "near leakage: test": ["5"],
        "leakage: test": ["6"],
        "false negatives": ["1", "2"],
        "near-equal positives": ["1 and 7"],
        "few rows": [],
    }


def test_contradicting_scores_and_labels(tmp_path: Path) -> None:
    root = project(tmp_path)
    scores = [{"sentence1": "a", "sentence2": "b", "score": 0.9},
              {"sentence1": "b", "sentence2": "A", "score": 0.1},
              {"sentence1": "a", "sentence2": "b", "score": 0.8}]  # fmt: skip
    labels = [{"premise": "a", "hypothesis": "b", "label": "entailment"},
              {"premise": "b", "hypothesis": "a", "label": "neutral"},
              {"premise": "a", "hypothesis": "b", "label": "neutral"}]  # fmt: skip
    for rows, line in ((scores, 2), (labels, 3)):
        file = put(tmp_path / "a.jsonl", *rows)
        _, found = check(root, str(file))
        (example,) = found["contradictory labels"]["examples"]
        assert example.startswith(f"{file}:{line}: ")


def test_one_label_and_an_unlikely_order_of_labels(tmp_path: Path) -> None:
    root = project(tmp_path)
    rows = [{"sentence1": f"a {n}", "sentence2": "b", "label": 1} for n in range(3)]
    assert "one label" in check(root, str(put(tmp_path / "a.jsonl", *rows)))[1]
    rows = [
        {"premise": f"the cat {n} sleeps", "hypothesis": text, "label": label}
        for n in range(40)
        for text, label in ((f"the cat {n} sleeps", 2), ("nobody is here", 0))
    ]
    assert "label order" in check(root, str(put(tmp_path / "b.jsonl", *rows)))[1]
    right = [{**row, "label": 2 - int(str(row["label"]))} for row in rows]
    assert "label order" not in check(root, str(put(tmp_path / "c.jsonl", *right)))[1]


def test_other_splits_are_looked_for_in_the_file(tmp_path: Path) -> None:
    root = project(tmp_path)
    train = put(tmp_path / "train.jsonl", {"query": "one", "positive": "two"})
    test = put(tmp_path / "test.jsonl", {"query": "ONE", "positive": "three"})
    assert "leakage: test.jsonl" in check(root, str(train), "--against", str(test))[1]


def test_a_file_that_cannot_be_read_is_a_finding_and_the_others_are_checked(
    tmp_path: Path,
) -> None:
    root = project(tmp_path)
    good = put(tmp_path / "a.jsonl", {"query": "one", "positive": "two"})
    documents = put(tmp_path / "b.jsonl", {"_id": "1", "text": "one"})
    report, found = check(root, str(good), str(documents), str(tmp_path / "nowhere.csv"))
    assert len(report["files"]) == 1
    assert found["unreadable"]["severity"] == "error"
    assert "reindex data synthesize" in found["documents alone"]["message"]


def test_the_exit_code_says_how_grave(tmp_path: Path) -> None:
    root = project(tmp_path)
    file = put(tmp_path / "a.jsonl", {"query": "one", "positive": "one"})
    codes = {level: run(root, "check", str(file), "--fail-on", level).exit_code
             for level in ("error", "warning", "info", "never")}  # fmt: skip
    assert codes == {"error": 0, "warning": 3, "info": 3, "never": 0}
    assert "a.jsonl:1: one" in run(root, "check", str(file)).output


def test_nothing_configured_is_an_error_that_says_what_to_name(tmp_path: Path) -> None:
    done = run(project(tmp_path), "check")
    assert done.exit_code == 1
    assert "There is nothing to check." in done.output


def test_split_writes_parts_once(tmp_path: Path) -> None:
    root = project(tmp_path)
    rows = [{"query": f"question {n}", "positive": f"answer text {n}"} for n in range(20)]
    file, out = put(tmp_path / "a.jsonl", *rows), tmp_path / "out"
    done = run(root, "split", str(file), "-o", str(out), "--json")
    assert json.loads(done.stdout)["rows"] == {"train": 16, "dev": 2, "test": 2}
    assert sum(len(path.read_text().splitlines()) for path in out.iterdir()) == 20
    assert "are there already" in run(root, "split", str(file), "-o", str(out)).output
    folds = run(root, "split", str(file), "-o", str(out), "--folds", "4", "--beir", "--json")
    assert json.loads(folds.stdout)["rows"] == {f"fold-{n}": 5 for n in range(1, 5)}
    assert run(root, "split", str(file), "--ratio", "1/x").exit_code == 2
