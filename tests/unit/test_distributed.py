"""What the Ray engine says before there is a cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from reindex.cli import main
from reindex.config import SourceSettings
from reindex.corpus.collection import CollectionSource
from reindex.corpus.frameworks import StoredText
from reindex.corpus.sql import SqlSource
from reindex.distributed import Reading
from reindex.errors import DataError, MissingExtra
from reindex.protocols import RereadableSource
from reindex.stages.building import build
from reindex.stages.engines import Engine
from tests.build_fixtures import Letters, dict_bench
from tests.hash_project import hash_project, write_documents
from tests.sql_fixtures import SOURCE, put


def test_without_ray_the_extra_is_named_and_nothing_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_documents(tmp_path, ["one", "two"])
    with hash_project(tmp_path) as workspace:
        build(workspace, "v1")
        with pytest.raises(MissingExtra, match=r"ray\[data\].*reindex\[distributed\]"):
            build(workspace, "v1", engine=Engine("ray"))
        built = workspace.registry.collection("docs--v1")
        assert built is not None
        assert built.complete


def test_an_address_needs_the_engine(tmp_path: Path) -> None:
    hash_project(tmp_path).close()
    result = CliRunner().invoke(main, ["-c", str(tmp_path), "build", "v1", "--address", "a:1"])
    assert result.exit_code == 2
    assert "--engine ray" in result.output


def test_a_table_that_cannot_be_divided_is_read_in_one_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, [(number, f"body {number}") for number in range(5)])
    table = SqlSource(SourceSettings(**SOURCE), tmp_path)
    reading = Reading(workers=2)
    source = reading(table)
    assert isinstance(source, RereadableSource)

    def refused(rows: int) -> None:
        raise DataError("sqlite:app.db: no such function: row_number")

    monkeypatch.setattr(table, "slices", refused)
    assert [item.id for item in source.documents(Letters())] == [0, 1, 2, 3, 4]
    how = "one piece, for it cannot be divided: sqlite:app.db: no such function: row_number"
    assert reading.how() == {table.name: how}
    assert how in caplog.text


def test_a_collection_that_one_process_opens_is_read_by_the_driver() -> None:
    bench = dict_bench()
    source = CollectionSource(bench.store, "docs", name="live", text_of=StoredText("plain"))
    reading = Reading(workers=2)
    assert reading(source) is source
    assert reading.how() == {"live": "the driver"}
