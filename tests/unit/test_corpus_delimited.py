"""CSV and TSV: what quotes mean, and what a broken one costs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from reindex.config import SourceSettings
from reindex.corpus.dead_letters import DeadLetters
from reindex.corpus.delimited import FUSED_LINES
from reindex.corpus.sources import open_source
from reindex.datasets.reading import read_examples
from reindex.errors import TooManyBadRows
from tests.corpus_fixtures import Heap, read

Texts = dict[int, str]


def table(file: Path, texts: Texts, rows: int = 100) -> Path:
    """So many rows without any quoting, some with a text of their own."""
    mark = "\t" if file.suffix == ".tsv" else ","
    lines = [f"{at}{mark}{texts.get(at, f'text {at}')}\n" for at in range(rows)]
    file.write_text("".join([f"_id{mark}text\n", *lines]), "utf-8")
    return file


def texts_of(file: Path) -> tuple[dict[str, str], Heap]:
    documents, dead = read(file.parent, kind="csv", path=file.name)
    return {str(document.id): document.text for document in documents}, dead


@pytest.mark.parametrize(
    "texts",
    [
        {3: '"When', 5: "x"},
        {3: '"One of the funniest', 60: 'so he said"'},
        {3: '"Said" he', 7: 'a 5" disk', 9: 'he "said" it'},
        {3: '"whole"', 4: '""', 5: '"'},
        {99: '"the last one'},
    ],
)
def test_quotes_between_tabs_are_characters(tmp_path: Path, texts: Texts) -> None:
    found, dead = texts_of(table(tmp_path / "a.tsv", texts))
    assert dead.reasons == []
    assert found == {str(at): texts.get(at, f"text {at}") for at in range(100)}


def test_training_data_are_read_so_too(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text('query\tanswer\n"why\tso\nhow\tthus"\nwhat\t"this\nwho\tshe"\n', "utf-8")
    assert [(row.anchor, row.positive) for row in read_examples(file)] == [
        ('"why', "so"), ("how", 'thus"'), ("what", '"this'), ("who", 'she"'),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["a\tb", "two\nlines\n", 'he "said"', '"'])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_quotes_that_a_writer_put_around_fields_are_taken_off(
    tmp_path: Path, text: str, place: int, quoting: int
) -> None:
    rows = [[f"d{at}", f"text {at}"] for at in range(20)]
    rows[7][place] = text
    with (tmp_path / "a.tsv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, delimiter="\t", quoting=quoting).writerows([["_id", "text"], *rows])  # type: ignore[arg-type]
    found, dead = texts_of(tmp_path / "a.tsv")
    assert (found, dead.reasons) == (dict(rows), [])


def test_a_quote_that_nothing_closes_costs_all_rows_that_it_takes_in(tmp_path: Path) -> None:
    found, dead = texts_of(table(tmp_path / "a.csv", {9: '"never closed'}))
    assert list(found) == [str(at) for at in range(9)]
    assert dead.reasons == [(line, "invalid CSV") for line in range(11, 102)]
    assert dead.rows[0]["reason"].endswith(" in lines 11 to 101")
    assert dead.rows[-1]["row"] == "99,text 99"
    source = open_source(SourceSettings(kind="csv", path=Path("a.csv")), tmp_path)
    letters = DeadLetters(tmp_path / "dead.jsonl", max_share=0.5)
    with letters, pytest.raises(TooManyBadRows, match="91 of 100 rows"):
        list(source.documents(letters))


@pytest.mark.parametrize(
    ("end", "reason", "bad"), [(' closed"', "invalid CSV", 10), ('"x', "invalid CSV", 10),
                               ('",x', "wrong number of fields", 9)],
)  # fmt: skip
def test_rows_between_two_quotes_are_bad(tmp_path: Path, end: str, reason: str, bad: int) -> None:
    last = 9 + FUSED_LINES - 1
    found, dead = texts_of(table(tmp_path / "a.csv", {9: '"opened', last: f"text {end}"}))
    assert list(found) == [str(at) for at in (*range(9), *range(last + 1, 100))]
    assert [line for line, _ in dead.reasons] == list(range(11, 11 + bad))
    assert dead.reasons[0] == (11, reason)


def test_a_bad_row_of_many_lines_that_are_no_rows_is_one(tmp_path: Path) -> None:
    text = "\n".join(["no row, with, many, commas"] * 20)
    lines = f'_id,text\n1,"{text}",too many\n2,"{text}"\n3,"{text}"x\n4,fine\n'
    (tmp_path / "a.csv").write_text(lines, "utf-8")
    found, dead = texts_of(tmp_path / "a.csv")
    assert found == {"2": text, "4": "fine"}
    assert dead.reasons == [(2, "wrong number of fields"), (42, "invalid CSV")]
