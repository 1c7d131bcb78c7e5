"""The readers on real data, where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reindex.config import SourceSettings
from reindex.corpus.judgements import load_judgements
from reindex.corpus.pairs import examples_from_beir
from reindex.corpus.sources import open_source
from tests.corpus_fixtures import Heap

ROOT = Path(__file__).parents[2]
MEDQUAD = Path(os.environ.get("REINDEX_MEDQUAD", ROOT.parent / "shared/data/medquad"))
pytestmark = pytest.mark.skipif(
    not (MEDQUAD / "corpus.jsonl").is_file(), reason="no MedQuAD: set REINDEX_MEDQUAD to its folder"
)


def test_medquad_reads_without_a_bad_row() -> None:
    source = open_source(SourceSettings(path=MEDQUAD), ROOT)
    dead = Heap()
    ids = {document.id for document in source.documents(dead)}
    assert not dead.rows
    assert len(ids) == dead.good == source.count() == 15_798
    queries, qrels = MEDQUAD / "queries.jsonl", MEDQUAD / "qrels"
    judged = load_judgements(queries, qrels / "test.tsv", max_queries=100, seed=1)
    assert len(judged.queries) == 100
    assert {document for grades in judged.qrels.values() for document in grades} <= ids
    examples = examples_from_beir(queries, qrels / "dev.tsv", source)
    lines = (qrels / "dev.tsv").read_text("utf-8").splitlines()
    assert len(examples) == len(lines) - 1
