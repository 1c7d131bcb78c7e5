"""Protected queries: lost ones are named and stop a promotion; the file's mistakes are told."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from reindex.cli.comparison_table import render_comparison
from reindex.config import GateSettings
from reindex.corpus.protected import read_protected
from reindex.errors import DataError
from reindex.evaluation.compare import Comparison, Side
from reindex.evaluation.figures import figures
from reindex.gate.defaults import default_conditions
from reindex.records import Query, Vector
from tests.comparison_fixtures import WordEncoder, World, make_world


class Forgetful(WordEncoder):
    """Knows all synonyms but has forgotten what w-words of one document mean."""

    def __init__(self, forgotten: frozenset[str]) -> None:
        super().__init__(1.0)
        self.forgotten = forgotten
        self.space += "-forgetful"

    def encode_queries(self, texts: Sequence[str]) -> Vector:
        return self.encode_documents(
            ["s0 s1" if frozenset(text.split()) <= self.forgotten else text for text in texts]
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def sides(world: World) -> tuple[Side, Side]:
    forgotten = frozenset(world.documents[7].text.split())
    return world.build("v1", WordEncoder(0.0)), world.build("v2", Forgetful(forgotten))


def compared(world: World, sides: tuple[Side, Side], folder: Path) -> Comparison:
    """Document 7 is lost, 8 stays, 9 is asked for in synonyms, which live does not know."""
    rows = [
        {"query": world.documents[7].text, "documents": [7], "k": 1},
        {"query": world.documents[8].text, "documents": ["8"], "k": 1},
        {"query": world.documents[9].text.replace("w", "s"), "documents": ["9"], "k": 1},
        {"query_id": "q0", "documents": ["no-such-document"]},
    ]
    (folder / "protected.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return world.compare(*sides, root=folder, protected="protected.jsonl")


def test_the_lost_one_is_named_and_what_failed_before_is_said_apart(
    world: World, sides: tuple[Side, Side], tmp_path: Path
) -> None:
    found = compared(world, sides, tmp_path)
    report = found.protected
    assert report is not None
    assert [(row.query, row.lost) for row in report.failed] == [(world.documents[7].text, ("7",))]
    assert [row.lost for row in report.already] == [("no-such-document",)]
    assert [row.documents for row in report.mended] == [("9",)]
    told = {item.name: item for item in default_conditions(GateSettings(), figures(found))}
    assert told["protected"].verdict == "fail"
    assert world.documents[7].text in told["protected"].figure
    console = Console(file=io.StringIO(), width=100)
    render_comparison(found, console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Of 4 protected queries" in printed
    assert "Lost 1, wrong before already 1, mended 1." in printed
    assert Comparison.from_dict(found.as_dict()) == found


def test_without_the_file_nothing_is_asked(world: World, sides: tuple[Side, Side]) -> None:
    found = world.compare(*sides)
    assert found.protected is None
    names = {item.name for item in default_conditions(GateSettings(), figures(found))}
    assert "protected" not in names


def test_a_table_reads_as_well(tmp_path: Path) -> None:
    file = tmp_path / "protected.csv"
    file.write_text('query,query_id,documents,k\n"a, b",,d1;d2,3\n,q1,7,\n', "utf-8")
    first, second = read_protected(file, [Query("q1", "text of q1")], k=10)
    assert (first.text, first.documents, first.k) == ("a, b", ("d1", "d2"), 3)
    assert (second.text, second.documents, second.k) == ("text of q1", ("7",), 10)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"documents": ["a"]}, "either 'query' (the text) or 'query_id'"),
        ({"query": "x", "query_id": "q1", "documents": ["a"]}, "either 'query'"),
        ({"query": " ", "documents": ["a"]}, "'query' is ' '"),
        ({"query_id": "q9", "documents": ["a"]}, "no judged query has the id 'q9'"),
        ({"query": "x"}, "'documents' is None"),
        ({"query": "x", "documents": []}, "at least one document id"),
        ({"query": "x", "documents": ["a"], "k": 0}, "'k' is 0"),
        ({"query": "x", "documents": ["a", "b"], "k": 1}, "2 documents cannot be in 1"),
    ],
)
def test_a_row_that_cannot_be_used_is_told(
    row: dict[str, object], told: str, tmp_path: Path
) -> None:
    file = tmp_path / "protected.jsonl"
    file.write_text(json.dumps(row), "utf-8")
    with pytest.raises(DataError) as error:
        read_protected(file, [Query("q1", "text")], k=10)
    assert told in str(error.value)
    assert f"{file}:1: " in str(error.value)


def test_an_empty_or_missing_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("query,documents\n", "utf-8")
    for name in ("empty.csv", "missing.csv", "missing.jsonl"):
        with pytest.raises(DataError, match=name):
            read_protected(tmp_path / name, [], k=10)
