"""Every reader, with good and with malformed input."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reindex.config import SourceSettings
from reindex.corpus.dead_letters import DeadLetters
from reindex.corpus.sources import count_lines, open_source
from reindex.errors import ConfigError, DataError, TooManyBadRows
from reindex.records import Document
from tests.corpus_fixtures import Heap, read


def write_jsonl(file: Path, *rows: Any) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def test_beir_folder(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = [{"_id": "a", "title": "T", "text": "x"}, {"_id": "b", "title": " ", "text": "y"}]
    write_jsonl(tmp_path / "data/corpus.jsonl", *rows)
    documents, dead = read(tmp_path, kind="beir", path="data")
    assert [(d.id, d.text, d.payload) for d in documents] == [
        ("a", "T\nx", rows[0]),
        ("b", "y", rows[1]),
    ]
    assert (dead.good, dead.rows) == (2, [])


def test_the_order_of_text_fields_and_the_separator_are_the_configs(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", {"key": 1, "body": "b", "head": "h", "tail": None})
    documents, _ = read(
        tmp_path,
        kind="jsonl",
        path="a.jsonl",
        id_field="key",
        text_fields=["head", "tail", "body"],
        separator=" | ",
    )
    assert (documents[0].id, documents[0].text) == (1, "h | b")


BIG = "id in _id is an integer of more than 64 bits (give it as text)"
BAD_LINES: list[tuple[bytes, str, int | str | None]] = [
    (b'{"_id": "x", "text": "cut', "invalid JSON", None),
    (b"[1, 2]", "not a JSON object", None),
    (b'"text"', "not a JSON object", None),
    (b'{"text": "x"}', "no id in _id", None),
    (b'{"_id": null, "text": "x"}', "no id in _id", None),
    (b'{"_id": "  ", "text": "x"}', "blank id in _id", None),
    (b'{"_id": true, "text": "x"}', "id in _id is bool, expected a string or an integer", None),
    (b'{"_id": 1.0, "text": "x"}', "id in _id is float, expected a string or an integer", None),
    (b'{"_id": [1], "text": "x"}', "id in _id is list, expected a string or an integer", None),
    (b'{"_id": 18446744073709551616, "text": "x"}', BIG, None),
    (b'{"_id": "x"}', "no text in title, text", "x"),
    (b'{"_id": 9, "title": " ", "text": "\\n"}', "no text in title, text", 9),
    (b'{"_id": "x", "text": 5}', "text is int, expected text", "x"),
    (b'{"_id": "x", "text": "caf\xe9"}', "invalid UTF-8", None),
    (b'{"_id": "x", "text": "half \\ud83d"}', "invalid text", None),
    (b'{"_id": "x", "text": "x", "v": NaN}', "a number that JSON cannot hold", None),
    (b'{"_id": "x", "text": "x", "v": [-Infinity]}', "a number that JSON cannot hold", None),
    (b'{"_id": "x", "text": "x", "v": 1e999}', "a number that JSON cannot hold", None),
    (b'{"_id": "x", "text": ' + b"[" * 100_000, "invalid JSON", None),
]


@pytest.mark.parametrize(("line", "reason", "id"), BAD_LINES)
def test_a_bad_jsonl_row_costs_its_line(
    tmp_path: Path, line: bytes, reason: str, id: int | str | None
) -> None:
    good = b'{"_id": "%d", "text": "t"}\n'
    (tmp_path / "a.jsonl").write_bytes(good % 1 + b"\n" + line + b"\n" + good % 2)
    documents, dead = read(tmp_path, kind="jsonl", path="a.jsonl")
    assert [document.id for document in documents] == ["1", "2"]
    assert dead.reasons == [(3, reason)]
    assert dead.rows[0]["id"] == id
    assert dead.rows[0]["file"] == "a.jsonl"


def test_escapes_that_are_whole_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"_id": "x", "text": "\\ud83d\\ude00 \\u00e9"}\r\n')
    documents, dead = read(tmp_path, kind="jsonl", path="a.jsonl")
    assert documents[0].text == "\N{GRINNING FACE} é"
    assert not dead.rows


def test_a_byte_order_mark_and_a_missing_last_newline_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"_id": "x", "text": "t"}')
    documents, dead = read(tmp_path, kind="jsonl", path="a.jsonl")
    assert [document.id for document in documents] == ["x"]
    assert not dead.rows


def test_of_rows_with_the_same_id_the_first_counts(tmp_path: Path) -> None:
    first = [{"_id": f"d{i}", "text": "first"} for i in range(2_500)]
    write_jsonl(tmp_path / "1.jsonl", *first, {"_id": "d2499", "text": "second"})
    write_jsonl(tmp_path / "2.jsonl", {"_id": "new", "text": "x"}, {"_id": "d0", "text": "third"})
    documents, dead = read(tmp_path, kind="jsonl", path="*.jsonl")
    assert len(documents) == 2_501
    assert {document.text for document in documents} == {"first", "x"}
    assert [(row["file"], row["line"], row["id"]) for row in dead.rows] == [
        ("1.jsonl", 2_501, "d2499"),
        ("2.jsonl", 2, "d0"),
    ]
    assert {row["reason"] for row in dead.rows} == {"duplicate id"}


def test_a_number_and_its_text_are_two_ids(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "a.jsonl", *({"_id": id, "text": "x"} for id in (5, "5", 2**63, str(2**70)))
    )
    documents, dead = read(tmp_path, kind="jsonl", path="a.jsonl")
    assert [document.id for document in documents] == [5, "5", 2**63, str(2**70)]
    assert not dead.rows


def test_reading_twice_gives_the_same(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", {"_id": 1, "text": "x"}, {"_id": 1, "text": "y"})
    source = open_source(SourceSettings(kind="jsonl", path=Path("a.jsonl")), tmp_path)
    first, second = Heap(), Heap()
    assert list(source.documents(first)) == list(source.documents(second))
    assert first == second


IDS = st.lists(
    st.one_of(
        st.integers(min_value=-(2**63), max_value=2**64 - 1),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
            lambda text: not text.isspace()
        ),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda id: str(id) if isinstance(id, int) and not 0 <= id < 2**64 else id,
)


@given(ids=IDS, ascii_only=st.booleans())
@settings(max_examples=100, deadline=None)
def test_jsonl_ids_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, ids: list[int | str], ascii_only: bool
) -> None:
    file = tmp_path_factory.mktemp("ids") / "a.jsonl"
    lines = [json.dumps({"_id": id, "text": "t"}, ensure_ascii=ascii_only) for id in ids]
    file.write_text("\n".join(lines), "utf-8", newline="")
    documents, dead = read(file.parent, kind="jsonl", path="a.jsonl")
    assert [document.id for document in documents] == ids
    assert [type(document.id) for document in documents] == [type(id) for id in ids]
    assert not dead.rows


PRESETS = [
    ("plain", {"_id": 7, "title": "T", "text": "x", "lang": "en"}),
    ("langchain", {"page_content": "T\nx", "metadata": {"_id": 7, "title": "T", "lang": "en"}}),
    ("llamaindex", {"_id": 7, "title": "T", "lang": "en", "text": "T\nx", "doc_id": "7"}),
    ("haystack", {"id": "7", "content": "T\nx", "meta": {"_id": 7, "title": "T", "lang": "en"}}),
]


@pytest.mark.parametrize(("preset", "payload"), PRESETS)
def test_payload_presets(tmp_path: Path, preset: str, payload: dict[str, Any]) -> None:
    row = {"_id": 7, "title": "T", "text": "x", "lang": "en", "_reindex": {"rev": 3}}
    write_jsonl(tmp_path / "a.jsonl", row)
    documents, _ = read(tmp_path, kind="jsonl", path="a.jsonl", payload=preset)
    assert documents[0].payload == payload


def test_csv_line_numbers_are_right_after_quoted_newlines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'\xef\xbb\xbf_id,title,text\r\n007,T,"two\nlines, and ""quotes"""\r\n'
        b"\r\nb,only two\r\nc,T,caf\xe9\r\n,T,x\r\nd,,\r\ne,,ok\r\n"
    )
    documents, dead = read(tmp_path, kind="csv", path="a.csv")
    assert [(d.id, d.text) for d in documents] == [
        ("007", 'T\ntwo\nlines, and "quotes"'),
        ("e", "ok"),
    ]
    assert dead.reasons == [
        (5, "wrong number of fields"),
        (6, "invalid UTF-8"),
        (7, "blank id in _id"),
        (8, "no text in title, text"),
    ]


def test_a_broken_csv_quote_costs_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('_id,text\na,"x"y\nb,fine\n')
    documents, dead = read(tmp_path, kind="csv", path="a.csv")
    assert [document.id for document in documents] == ["b"]
    assert dead.reasons == [(2, "invalid CSV")]


def test_long_csv_fields_and_tabs(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("_id\ttext\na\t" + "word " * 100_000 + "\n")
    documents, _ = read(tmp_path, kind="csv", path="a.tsv")
    assert len(documents[0].text) == 500_000


@pytest.mark.parametrize("header", ["", "_id,text,_id\n"])
def test_a_csv_header_must_name_each_column_once(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(header + "\na,b,c\n")
    with pytest.raises(DataError, match=r"a\.csv:1"):
        read(tmp_path, kind="csv", path="a.csv")


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    day = datetime.date(2024, 2, 29)
    table = pa.table(
        {
            "_id": pa.array([2**64 - 1, 2, 3, 4], pa.uint64()),
            "text": ["a", "b", None, "d"],
            "score": [0.5, float("nan"), 1.0, None],
            "day": [day, day, day, None],
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    documents, dead = read(tmp_path, kind="parquet", path="a.parquet")
    assert [document.payload for document in documents] == [
        {"_id": 2**64 - 1, "text": "a", "score": 0.5, "day": "2024-02-29"},
        {"_id": 4, "text": "d", "score": None, "day": None},
    ]
    assert dead.reasons == [(2, "not JSON"), (3, "no text in title, text")]
    source = open_source(SourceSettings(kind="parquet", path=Path("a.parquet")), tmp_path)
    assert source.count() == 4


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet"):
        read(tmp_path, kind="parquet", path="a.parquet")


@pytest.mark.parametrize(
    ("kind", "path", "looked_for"),
    [("beir", "data", "corpus.jsonl"), ("jsonl", "no/*.jsonl", "no/*.jsonl"), ("csv", ".", "csv")],
)
def test_a_missing_source_says_what_was_looked_for(
    tmp_path: Path, kind: Any, path: str, looked_for: str
) -> None:
    with pytest.raises(DataError) as caught:
        open_source(SourceSettings(kind=kind, path=Path(path)), tmp_path)
    assert looked_for in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_no_text_field_is_a_config_error(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", {"_id": 1, "text": "x"})
    with pytest.raises(ConfigError, match=r"source\.text_fields"):
        read(tmp_path, kind="jsonl", path="a.jsonl", text_fields=[])


def test_a_source_of_bad_rows_only_is_an_error_below_the_threshold_too(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", {"id": 1, "text": "x"}, {"id": 2, "text": "y"})
    with pytest.raises(DataError, match=r"a\.jsonl:1: no id in _id"):
        read(tmp_path, kind="jsonl", path="a.jsonl")


def test_past_the_threshold_reading_stops(tmp_path: Path) -> None:
    rows = [{"_id": i, "text": "x" if i % 10 else ""} for i in range(5_000)]
    write_jsonl(tmp_path / "a.jsonl", *rows)
    source = open_source(SourceSettings(kind="jsonl", path=Path("a.jsonl")), tmp_path)
    taken: list[Document] = []
    with DeadLetters(tmp_path / "dead.jsonl", 0.05) as dead, pytest.raises(TooManyBadRows):
        taken.extend(source.documents(dead))
    assert len(taken) < 4_500
    assert 0 in dead.ids


def test_the_name_is_relative_to_the_root(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "project").mkdir()
    write_jsonl(tmp_path / "data/a.jsonl", {"_id": 1, "text": "x"})
    names = {
        open_source(SourceSettings(kind="jsonl", path=path), tmp_path / "project").name
        for path in (Path("../data/a.jsonl"), tmp_path / "data/a.jsonl")
    }
    assert names == {"jsonl:../data/a.jsonl"}


def test_count_is_cheap_and_follows_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    write_jsonl(file, {"_id": 1, "text": "x"})
    source = open_source(SourceSettings(kind="jsonl", path=Path("*.jsonl")), tmp_path)
    assert source.count() == 1
    with file.open("a") as more:
        more.write('{"_id": 2, "text": "y"}')
    assert source.count() == 2
    (tmp_path / "a.csv").write_text("_id,text\n1,x\n")
    assert open_source(SourceSettings(kind="csv", path=Path("a.csv")), tmp_path).count() is None


def test_lines_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert count_lines(tmp_path / "empty") == 0
