"""A regression planted in one slice of a comparison is found and named, though the mean rises."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from reindex.cli.comparison_table import render_comparison
from reindex.config import GateSettings
from reindex.evaluation.compare import Comparison
from reindex.evaluation.figures import figures
from reindex.gate.slices import slice_condition
from reindex.records import Document, Judgements, Query
from tests.comparison_fixtures import WordEncoder, World, make_world

GERMAN = 40
SLICES = {"query_fields": ["language", "rare", "nobody"], "document_fields": ["source"]}


class Polyglot(WordEncoder):
    """Understands x12 as w12 only where it knows German."""

    def __init__(self, known: float, *, german: bool) -> None:
        super().__init__(known)
        self.german = german
        self.space += f"-{german}"

    def _meaning(self, word: str) -> str:
        if word[0] == "x":
            return f"w{word[1:]}" if self.german else word
        return super()._meaning(word)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The first queries are German, three of them rare; every second document is from a wiki."""
    made = make_world(tmp_path_factory.mktemp("store"))
    documents = [
        Document(item.id, item.text, {"source": "wiki" if at % 2 else "docs.python.org"})
        for at, item in enumerate(made.documents)
    ]
    queries = []
    for at, query in enumerate(made.judgements.queries):
        german = at < GERMAN
        text = query.text.replace("w", "x").replace("s", "x") if german else query.text
        metadata = {"language": "de" if german else "en", "rare": at < 3}
        queries.append(Query(query.id, text, None, metadata))
    judged = Judgements(tuple(queries), made.judgements.qrels)
    return replace(made, documents=documents, judgements=judged)


@pytest.fixture(scope="module")
def result(world: World) -> Comparison:
    live = world.build("v1", Polyglot(0.0, german=True))
    candidate = world.build("v2", Polyglot(1.0, german=False))
    return world.compare(live, candidate, slices=SLICES)


def test_the_mean_rises_and_the_slice_that_pays_is_named(result: Comparison) -> None:
    assert result.judged.relative > 0
    gate = GateSettings()
    (condition,) = slice_condition(result, gate, figures(result))
    assert condition.verdict == "fail"
    assert condition.figure.startswith("language=de loses: −")
    assert "language=en loses" not in condition.figure
    assert "source" not in condition.figure


def test_without_a_loser_the_slices_pass(world: World, result: Comparison) -> None:
    better = world.build("v3", Polyglot(1.0, german=True))
    found = world.compare(world.build("v4", Polyglot(0.0, german=True)), better, slices=SLICES)
    (condition,) = slice_condition(found, GateSettings(), figures(found))
    assert condition.verdict == "pass"
    assert "none of" in condition.figure


def test_a_slice_has_its_figures(result: Comparison) -> None:
    found = figures(result)
    change = found["slice.language=de.recall@10.change"]
    assert change.high is not None
    assert change.high < -0.3
    assert found["slice.language=de.queries"].value == GERMAN
    assert 'slice.document/source="docs.python.org".ndcg@10.change' in found


def test_small_slices_and_missing_fields_are_said(result: Comparison) -> None:
    report = result.slices
    assert report is not None
    assert [row.label for row in report.small] == ["rare=true"]
    assert report.without_values == ("nobody",)
    console = Console(file=io.StringIO(), width=100)
    render_comparison(result, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Too small to say, under 10 independent groups: rare=true (3)." in printed
    assert "No judged query has: nobody." in printed
    assert "language=de" in printed


def test_slices_survive_the_registry(result: Comparison) -> None:
    assert Comparison.from_dict(result.as_dict()) == result


def test_queries_keep_what_else_their_row_holds(tmp_path: Path) -> None:
    from reindex.corpus.judgements import read_queries

    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": 1, "text": "a", "lang": "de", "metadata": {"n": 2, "group": "g"}}\n')
    (query,) = read_queries(file)
    assert (query.group, query.metadata) == ("g", {"lang": "de", "n": 2, "group": "g"})
