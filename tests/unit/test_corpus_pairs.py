"""Training pairs from judgements."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reindex.config import SourceSettings
from reindex.corpus.pairs import examples_from_beir
from reindex.corpus.sources import open_source
from reindex.errors import DataError
from reindex.records import TrainingExample


def put(file: Path, *rows: Any) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def beir(folder: Path, qrels: str) -> list[TrainingExample]:
    put(folder / "corpus.jsonl", *({"_id": i, "title": "T", "text": f"x{i}"} for i in range(3)))
    put(folder / "queries.jsonl", *({"_id": f"q{i}", "text": f"text {i}"} for i in range(3)))
    (folder / "train.tsv").write_text("query-id\tcorpus-id\tscore\n" + qrels)
    source = open_source(SourceSettings(kind="beir", path=folder), folder)
    return examples_from_beir(folder / "queries.jsonl", folder / "train.tsv", source)


def test_pairs_from_judgements_have_the_embedded_text(tmp_path: Path) -> None:
    assert beir(tmp_path, "q2\t0\t1\nq0\t1\t1\nq0\t2\t2\nq1\t1\t0\nq1\tgone\t1\n") == [
        TrainingExample("text 0", "T\nx1"),
        TrainingExample("text 0", "T\nx2"),
        TrainingExample("text 2", "T\nx0"),
    ]


def test_judgements_of_another_corpus(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"None of the 1 documents judged .* example 'gone'"):
        beir(tmp_path, "q1\tgone\t1\n")
