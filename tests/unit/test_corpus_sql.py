"""SQL sources, on real SQLite databases."""

from __future__ import annotations

import datetime
import decimal
import ipaddress
import json
import sys
import tracemalloc
import uuid
from pathlib import Path
from typing import Any

import pytest

from reindex.config import SourceSettings
from reindex.corpus.sources import open_source
from reindex.corpus.sql import SqlSource
from reindex.corpus.sql_values import NoJsonForm, plain
from reindex.errors import ConfigError, DataError, MissingExtra
from tests.corpus_fixtures import Heap, read
from tests.sql_fixtures import QUERY, SOURCE, database, put, remove

UUID = uuid.UUID("0b8f4f4e-5f0a-5e0b-9d5b-3c1f6a2f7d10")


def source_of(folder: Path, **changes: Any) -> SqlSource:
    source = open_source(SourceSettings(**{**SOURCE, **changes}), folder)
    assert isinstance(source, SqlSource)
    return source


def test_rows_are_documents(tmp_path: Path) -> None:
    put(tmp_path, [(1, "one"), ("b", "two")])
    documents, dead = read(tmp_path, **SOURCE)
    assert [(d.id, d.text) for d in documents] == [(1, "title 1\none"), ("b", "title b\ntwo")]
    assert documents[0].payload == {"id": 1, "title": "title 1", "body": "one", "tenant": "a"}
    assert (dead.good, dead.rows) == (2, [])


def test_the_payload_takes_a_frameworks_shape(tmp_path: Path) -> None:
    put(tmp_path, [(1, "one")])
    (document,), _ = read(tmp_path, **SOURCE, payload="langchain")
    assert document.payload == {
        "page_content": "title 1\none",
        "metadata": {"id": 1, "title": "title 1", "tenant": "a"},
    }


def test_a_query_may_hold_colons_percents_comments_and_a_semicolon(tmp_path: Path) -> None:
    put(tmp_path, [(1, "at 12:30 :name 100%")])
    query = (
        "SELECT id, title, body, ':x ::y 50%' AS note FROM articles\n"
        "WHERE body LIKE '%:name%' -- all of them;\n;  "
    )
    source = source_of(tmp_path, query=query)
    (document,) = source.documents(Heap())
    assert document.payload["note"] == ":x ::y 50%"
    assert source.count() == 1
    assert source.current([1])[1] == document


def test_bad_rows_cost_their_lines_and_their_ids_count_as_present(tmp_path: Path) -> None:
    with database(tmp_path) as db:
        db.executemany(
            "INSERT INTO articles VALUES (?, ?, ?, ?)",
            [
                (1, "t", "good", "a"),
                (2, None, "  ", "a"),
                (3, "t", 5, "a"),
                (4, "t", "infinite", float("inf")),
                (None, "t", "no id", "a"),
                ("", "t", "blank id", "a"),
                (6.5, "t", "an id with a fraction", "a"),
                (7, "t", "good", "a"),
            ],
        )
        db.execute("INSERT INTO articles VALUES (8, 't', CAST(x'636166e9' AS TEXT), 'a')")
    query = "SELECT * FROM articles UNION ALL SELECT 7, 't', 'again', 'a'"
    documents, dead = read(tmp_path, **{**SOURCE, "query": query})
    assert [document.id for document in documents] == [1, 7]
    assert dead.reasons == [
        (2, "no text in title, body"),
        (3, "body is int, expected text"),
        (4, "not JSON"),
        (5, "no id in id"),
        (6, "blank id in id"),
        (7, "id in id is float, expected a string or an integer"),
        (9, "not JSON"),
        (10, "duplicate id"),
    ]
    assert dead.ids == {2, 3, 4, 8, 7}
    assert dead.rows[2]["reason"] == "not JSON: tenant: a number that JSON cannot hold: inf"
    assert dead.rows[6]["reason"] == "not JSON: body: invalid UTF-8"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "2026-01-02T03:04:05+00:00"),
        (datetime.time(3, 4), "03:04:00"),
        (datetime.timedelta(minutes=1.5), 90.0),
        (decimal.Decimal("12.50"), 12.5),
        (decimal.Decimal("12.00"), 12.0),
        (decimal.Decimal(2**70), 2**70),
        (UUID, str(UUID)),
        (b"\x00\xff", "AP8="),
        (memoryview(b"\x00\xff"), "AP8="),
        (ipaddress.ip_address("10.0.0.1"), "10.0.0.1"),
        ({"a": (1, UUID), 2: None}, {"a": [1, str(UUID)], "2": None}),
        (True, True),
    ],
)
def test_types_that_json_cannot_hold_have_a_documented_form(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)
    assert json.loads(json.dumps(found, allow_nan=False)) == expected


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, float("nan"), decimal.Decimal("NaN"), [1, object()], "\udce9"]
)
def test_a_value_without_json_form_is_refused(value: Any) -> None:
    with pytest.raises(NoJsonForm):
        plain(value)


def test_rows_stream_with_flat_memory(tmp_path: Path) -> None:
    query = (
        "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 60000) "
        "SELECT id, 'title' AS title, printf('%.500c', 'x') || id AS body FROM n"
    )
    put(tmp_path, [])
    source = source_of(tmp_path, query=query, fetch_rows=200)
    tracemalloc.start()
    try:
        documents = sum(1 for _ in source.documents(Heap()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert documents == 60_000
    assert peak < 8_000_000  # the bodies alone are 30 MB


def test_reading_is_from_a_snapshot_while_the_application_writes(tmp_path: Path) -> None:
    put(tmp_path, ((n, "before") for n in range(1_000)))
    documents = source_of(tmp_path, fetch_rows=10).documents(Heap())
    first = next(documents)
    put(tmp_path, ((n, "after") for n in range(1_500)))
    rest = list(documents)
    assert first.id == 0
    assert len(rest) == 999
    assert all(document.text.endswith("before") for document in rest)


def test_nothing_is_left_open_by_a_reading_that_ends_early(tmp_path: Path) -> None:
    put(tmp_path, ((n, "text") for n in range(100)))
    documents = source_of(tmp_path, fetch_rows=10).documents(Heap())
    next(documents)
    documents.close()  # type: ignore[attr-defined]
    with database(tmp_path) as db:
        assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # no reader


def test_the_source_cannot_write(tmp_path: Path) -> None:
    put(tmp_path, [(1, "one")])
    with pytest.raises(DataError, match="readonly"):
        list(source_of(tmp_path, query="DELETE FROM articles RETURNING *").documents(Heap()))
    assert source_of(tmp_path).count() == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": " "}, r"source.query is empty"),
        ({"url": ""}, r"environment variable REINDEX_SOURCE_URL is not set"),
        ({"url": "app.db"}, r"source.url is no SQLAlchemy URL"),
        ({"url": "postgresql://u:p@h/db"}, r"source.url holds a password.*REINDEX_SOURCE_URL"),
        ({"url": "mysql://h/db?ssl_key_pwd=p"}, r"source.url holds a password"),
        ({"url": "sqlite://"}, r"must name a file"),
        ({"url": "nosuch://h/db"}, r"cannot be used"),
    ],
)
def test_a_source_that_cannot_be_opened_says_why(
    tmp_path: Path, changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REINDEX_SOURCE_URL", raising=False)
    with pytest.raises(ConfigError, match=message):
        source_of(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"There is no database .*app\.db"),
        ({"query": "SELECT * FROM nowhere"}, r"no such table: nowhere"),
        ({"id_field": "_id"}, r"source.id_field names '_id'.* id, title, body, tenant"),
        ({"text_fields": ["text"]}, r"source.text_fields names 'text'"),
        ({"query": "SELECT id, id, title, body FROM articles"}, r"two columns named 'id'"),
    ],
)
def test_a_query_that_cannot_be_used_says_why(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    if changes:
        put(tmp_path, [(1, "one")])
    with pytest.raises(DataError, match=message):
        list(source_of(tmp_path, **changes).documents(Heap()))


def test_the_url_comes_from_the_environment_and_its_password_never_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB", "sqlite:///app.db?timeout=1234567")
    put(tmp_path, [(1, "one")])
    source = source_of(tmp_path, url="", url_env="DB")
    assert source.name == "sql:sqlite:app.db"
    assert source.count() == 1
    with pytest.raises(DataError, match=r"no such column: c\*\*\*") as caught:
        list(source_of(tmp_path, url="", url_env="DB", query="SELECT c1234567").documents(Heap()))
    assert "1234567" not in str(caught.value)


def test_a_malformed_url_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB", "postgresql//user:geheim@host")
    with pytest.raises(ConfigError) as caught:
        source_of(tmp_path, url="", url_env="DB")
    assert "geheim" not in str(caught.value)


def test_the_name_may_be_given(tmp_path: Path) -> None:
    put(tmp_path, [])
    assert source_of(tmp_path, name="articles").name == "articles"
    assert source_of(tmp_path, query="SELECT 1").name == "sql:sqlite:app.db"


def test_count_is_none_where_the_database_cannot_count_the_query(tmp_path: Path) -> None:
    put(tmp_path, [(1, "one")])
    assert source_of(tmp_path, query="PRAGMA table_info(articles)").count() is None


def test_without_sqlalchemy_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtra, match=r"reindex\[sql\]"):
        source_of(tmp_path)


def test_current_reads_some_documents_again(tmp_path: Path) -> None:
    put(tmp_path, ((n, f"text {n}") for n in range(1_200)))
    put(tmp_path, [("x", "text x"), ("blank", " ")])
    with database(tmp_path) as db:
        db.execute("UPDATE articles SET title = NULL WHERE id = 'blank'")
    source = source_of(tmp_path)
    remove(tmp_path, 7, 1_111)
    put(tmp_path, [(8, "changed")])
    found = source.current([*range(1_200), "x", "blank", "gone"])
    assert found.keys() == {*range(1_200), "x", "blank"} - {7, 1_111}
    assert found["blank"] is None
    changed = found[8]
    assert changed is not None
    assert changed.text == "title 8\nchanged"
    by_reading = {document.id: document for document in source.documents(Heap())}
    assert {id: document for id, document in found.items() if document} == by_reading
    assert source.current([]) == {}


def test_current_keeps_a_number_and_its_text_apart(tmp_path: Path) -> None:
    put(tmp_path, [(5, "number"), ("5", "text")])
    found = source_of(tmp_path, query=QUERY).current([5])
    assert found.keys() == {5}
